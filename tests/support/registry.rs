//! A real registry: Debian's docker-registry, on loopback, with storage of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::images::{self, Built};
use super::user::Folder;
use super::{digest, read_json};

/// `user` with `pass:word`, by bcrypt at its cheapest.
const HTPASSWD: &str = "user:$2b$04$7atx927oQ.PFlUlnA/38su0CHI6Du8bc1kU3ADqfiGvydytOXgFte\n";

#[derive(Debug)]
pub struct Registry {
    process: Child,
    port: u16,
    folder: Folder,
    kind: Kind,
}

/// How a registry is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Tls,
    /// Who asks has a certificate too.
    TlsBoth,
    Private,
}

impl Registry {
    /// Speaks plain HTTP.
    pub fn start() -> Self {
        Self::launch(Kind::Plain)
    }

    /// Speaks HTTPS, with a certificate of an authority that nobody knows: see [`Self::ca`].
    pub fn start_tls() -> Self {
        Self::launch(Kind::Tls)
    }

    /// Does that, and demands a certificate of the same authority from whoever asks: see [`Self::client`].
    pub fn start_tls_for_clients() -> Self {
        Self::launch(Kind::TlsBoth)
    }

    /// Speaks plain HTTP with the user `user`, whose password is `pass:word`, and with nobody else.
    pub fn start_private() -> Self {
        Self::launch(Kind::Private)
    }

    /// A plain one that all tests share, with `busybox`, `redis`, `redis-zstd`, `redis-v2s2`,
    /// `redis-next`, `nginx`, `multi` and `nested`, each `:latest`. Nobody pushes to it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<&Registry> = OnceLock::new();
        SHARED.get_or_init(|| {
            // The registry dies with the thread that started it, so that thread must outlive tests.
            let (give, take) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                give.send(&*Box::leak(Box::new(Self::start()))).unwrap();
                loop {
                    std::thread::park();
                }
            });
            let registry: &Self = take.recv().expect("the registry starts");
            for name in [
                "busybox",
                "redis",
                "redis-zstd",
                "redis-v2s2",
                "redis-next",
                "nginx",
                "multi",
                "nested",
            ] {
                registry.push(&images::get(name), &format!("{name}:latest"));
            }
            registry
        })
    }

    fn launch(kind: Kind) -> Self {
        let folder = Folder::new("registry");
        match kind {
            Kind::Plain => {}
            Kind::Tls | Kind::TlsBoth => certificates(folder.path()),
            Kind::Private => fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap(),
        }
        for _ in 0..5 {
            let port = free_port();
            let mut process = serve(folder.path(), port, kind);
            if ready(&mut process, port) {
                return Self {
                    process,
                    port,
                    folder,
                    kind,
                };
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!(
            "docker-registry does not start:\n{}",
            read(&folder.path().join("log"))
        );
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `docker://127.0.0.1:PORT/NAME`.
    pub fn url(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.host())
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate of the authority for a client (`client.pem`), with its key in one of three forms: `pkcs8`, `sec1`
    /// or, with another certificate (`rsa.pem`), `pkcs1`.
    pub fn client(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Pushes every byte as it is, so that all digests stay; `name` is `REPO:TAG`.
    pub fn push(&self, image: &Built, name: &str) {
        let (repo, tag) = name.rsplit_once(':').expect("REPO:TAG");
        match image.transport.as_str() {
            "oci" => self.push_layout(&image.path, name),
            "dir" => {
                let blob = |digest: &str| image.blob(digest);
                let manifest = fs::read(image.path.join("manifest.json")).unwrap();
                self.push_manifest(repo, tag, &manifest, &blob);
            }
            other => panic!("cannot push a {other}"),
        }
    }

    /// Pushes the only image of an OCI layout, with all that its indexes name.
    pub fn push_layout(&self, layout: &Path, name: &str) {
        let (repo, tag) = name.rsplit_once(':').expect("REPO:TAG");
        let index = read_json(&layout.join("index.json"));
        let top = index["manifests"][0]["digest"].as_str().unwrap();
        let blob = |digest: &str| layout.join("blobs").join(digest.replace(':', "/"));
        let manifest = fs::read(blob(top)).unwrap();
        self.push_manifest(repo, tag, &manifest, &blob);
    }

    /// Pushes a manifest or index after everything below it. `blob` says where blobs are.
    pub fn push_manifest(
        &self,
        repo: &str,
        tag: &str,
        bytes: &[u8],
        blob: &dyn Fn(&str) -> PathBuf,
    ) {
        let manifest: Value = serde_json::from_slice(bytes).unwrap();
        for child in manifest["manifests"].as_array().into_iter().flatten() {
            let digest = child["digest"].as_str().unwrap();
            self.push_manifest(repo, digest, &fs::read(blob(digest)).unwrap(), blob);
        }
        let layers = manifest["layers"].as_array().into_iter().flatten();
        for part in layers.chain(manifest.get("config")) {
            let digest = part["digest"].as_str().unwrap();
            self.push_blob(repo, digest, &blob(digest));
        }
        let media_type = manifest["mediaType"]
            .as_str()
            .expect("manifests here say what they are");
        self.put_manifest(repo, tag, media_type, bytes);
    }

    /// Puts a manifest's bytes, without looking at them.
    pub fn put_manifest(&self, repo: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        let file = self.folder.path().join(digest(bytes).replace(':', "-"));
        fs::write(&file, bytes).unwrap();
        self.curl(
            &format!("/v2/{repo}/manifests/{tag}"),
            &[
                "-T",
                &file.to_string_lossy(),
                "-H",
                &format!("Content-Type: {media_type}"),
            ],
        );
    }

    pub fn push_blob(&self, repo: &str, digest: &str, file: &Path) {
        let headers = self.curl(
            &format!("/v2/{repo}/blobs/uploads/"),
            &["-X", "POST", "-H", "Content-Length: 0", "-D", "-"],
        );
        let location = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case("location"))
            .expect("a registry says where to upload")
            .1
            .trim();
        let path = location
            .split_once("://")
            .map_or(location, |(_, rest)| &rest[rest.find('/').unwrap()..]);
        let file = file.to_string_lossy();
        self.curl(
            &format!("{path}&digest={digest}"),
            &["-T", &file, "-H", "Content-Type: application/octet-stream"],
        );
    }

    /// Runs curl against this registry; returns what it printed.
    pub fn curl(&self, path: &str, args: &[&str]) -> String {
        let tls = matches!(self.kind, Kind::Tls | Kind::TlsBoth);
        let scheme = if tls { "https" } else { "http" };
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-with-body", "--noproxy", "*"]);
        if tls {
            command.arg("--cacert").arg(self.ca());
        }
        if self.kind == Kind::TlsBoth {
            command.arg("--cert").arg(self.client("client.pem"));
            command.arg("--key").arg(self.client("pkcs8"));
        }
        if self.kind == Kind::Private {
            command.args(["-u", "user:pass:word"]);
        }
        let out = command
            .args(args)
            .arg(format!("{scheme}://{}{path}", self.host()))
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "curl {path}: {}{}",
            String::from_utf8_lossy(&out.stderr),
            String::from_utf8_lossy(&out.stdout)
        );
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Every request so far, oldest first: `GET /v2/redis/manifests/latest 200`.
    pub fn requests(&self) -> Vec<String> {
        let log = read(&self.folder.path().join("log"));
        log.lines().filter_map(request).collect()
    }

    /// Where the registry keeps a blob, for tests that damage it.
    pub fn stored_blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = "storage/docker/registry/v2/blobs/sha256";
        self.folder
            .path()
            .join(blobs)
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A line of the access log: `127.0.0.1 - - [time] "GET /path HTTP/1.1" 200 …`.
fn request(line: &str) -> Option<String> {
    let mut quoted = line.split('"');
    let what = quoted.nth(1)?.strip_suffix(" HTTP/1.1")?;
    let status = quoted.next()?.split_whitespace().next()?;
    Some(format!("{what} {status}"))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A port that nobody has now. Somebody may take it before the registry does; then it is tried again.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|it| it.local_addr())
        .unwrap()
        .port()
}

fn serve(folder: &Path, port: u16, kind: Kind) -> Child {
    let at = folder.display();
    let tls = format!("\n  tls:\n    certificate: {at}/cert.pem\n    key: {at}/key.pem");
    let more = match kind {
        Kind::Plain => String::new(),
        Kind::Tls => tls,
        Kind::TlsBoth => format!("{tls}\n    clientcas:\n      - {at}/ca.pem"),
        Kind::Private => {
            format!("\nauth:\n  htpasswd:\n    realm: berth\n    path: {at}/htpasswd")
        }
    };
    let config = format!(
        "version: 0.1\n\
         log:\n  level: error\n  accesslog:\n    disabled: false\n\
         storage:\n  filesystem:\n    rootdirectory: {at}/storage\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:{port}{more}\n"
    );
    fs::write(folder.join("config.yml"), config).unwrap();
    let log = File::create(folder.join("log")).unwrap();
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
        .arg(folder.join("config.yml"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn ready(process: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline && process.try_wait().unwrap().is_none() {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// An authority, and a certificate by it for this loopback address.
fn certificates(folder: &Path) {
    let script = "\
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=authority-$$ -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -subj /CN=localhost -keyout key.pem -out request.pem
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' >extensions
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile extensions -out cert.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -subj /CN=client -keyout pkcs8 -out request.pem
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out client.pem
        openssl pkey -in pkcs8 -traditional -out sec1
        openssl req -newkey rsa:2048 -nodes -subj /CN=rsa -keyout rsa8 -out request.pem
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out rsa.pem
        openssl pkey -in rsa8 -traditional -out pkcs1";
    let out = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}
