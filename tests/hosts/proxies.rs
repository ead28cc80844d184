//! Which requests go through a proxy, shown by a proxy that counts them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{conf, honest, manifests};
use crate::needs;
use crate::pull::{push, two_layers};
use crate::support::Home;
use crate::support::image::Form;
use crate::support::registry::{Registry, free_port};

/// A proxy on the loopback that leads every host to one place, and remembers what it was told.
struct Proxy {
    port: u16,
    told: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(
        target: String,
        speak: fn(&mut TcpStream, &str) -> Option<(String, TcpStream)>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        thread::spawn(move || {
            for mut near in listener.incoming().flatten() {
                let (log, target) = (Arc::clone(&log), target.clone());
                thread::spawn(move || {
                    let Some((head, far)) = speak(&mut near, &target) else {
                        return;
                    };
                    log.lock().unwrap().push(head);
                    join(near, far);
                });
            }
        });
        Self { port, told }
    }

    fn http(target: &str) -> Self {
        Self::start(target.into(), speak_http)
    }

    fn socks(target: &str) -> Self {
        Self::start(target.into(), speak_socks)
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How often it was told something that begins so.
    fn told(&self, start: &str) -> usize {
        let told = self.told.lock().unwrap();
        told.iter().filter(|head| head.starts_with(start)).count()
    }
}

/// Carries bytes both ways until one side ends.
fn join(mut near: TcpStream, mut far: TcpStream) {
    let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut far, &mut near);
    let _ = near.shutdown(Shutdown::Both);
}

fn speak_http(near: &mut TcpStream, target: &str) -> Option<(String, TcpStream)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        near.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut far = TcpStream::connect(target).ok()?;
    match head.starts_with("CONNECT ") {
        true => near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?,
        false => {
            // the whole URL stands where a server wants the path
            let url = head.split(' ').nth(1)?;
            let path = format!("/{}", url.splitn(4, '/').nth(3)?);
            far.write_all(head.replacen(url, &path, 1).as_bytes())
                .ok()?;
        }
    }
    Some((head, far))
}

fn speak_socks(near: &mut TcpStream, target: &str) -> Option<(String, TcpStream)> {
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        near.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let methods = read(2)?[1];
    read(methods.into())?;
    near.write_all(&[5, 0]).ok()?;
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        near.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let request = read(5)?;
    let name = String::from_utf8(read(request[4].into())?).ok()?;
    read(2)?;
    near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    let head = format!("kind {} {name}", request[3]);
    Some((head, TcpStream::connect(target).ok()?))
}

#[test]
fn tls_goes_through_a_tunnel_with_the_password_of_the_proxy() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start_tls());
    push(&home, &registry, &two_layers(Form::Gzip), "app:latest");
    let proxy = Proxy::http(&registry.host());
    // the proxy knows the name, nobody else does
    let url = "docker://registry.example:5000/app";
    home.berth(["pull", "-q", "--tls-verify=false", url])
        .env(
            "HTTPS_PROXY",
            format!("http://us%40r:pass@{}", proxy.host()),
        )
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .ok();
    assert!(proxy.told("CONNECT registry.example:5000 ") > 0);
    assert_eq!(proxy.told(""), proxy.told("CONNECT "));
    let told = proxy.told.lock().unwrap()[0].to_lowercase();
    let basic = "proxy-authorization: basic dxnacjpwyxnz\r\n";
    assert!(told.contains(basic), "{told}");
}

#[test]
fn plain_http_goes_through_its_own_proxy() {
    let (home, double) = (Home::new(), honest());
    let proxy = Proxy::http(&double.host());
    let text = "[[registry]]\nlocation = \"registry.example:5000\"\ninsecure = true\n";
    let ran = home
        .berth(["pull", "-q", "registry.example:5000/app"])
        .env("CONTAINERS_REGISTRIES_CONF", conf(&home, text))
        .env("ALL_PROXY", proxy.host())
        .ok();
    assert!(
        ran.stdout
            .starts_with("registry.example:5000/app:latest@sha256:")
    );
    assert_eq!(
        proxy.told("GET http://registry.example:5000/v2/app/manifests/"),
        1
    );
    assert_eq!(manifests(&double), 1);
    // without a word about it, plain HTTP is for the loopback only
    home.berth(["pull", "registry.example:5000/app"])
        .env("ALL_PROXY", proxy.host())
        .fails(1)
        .one_error()
        .err_has("hint: it may not speak TLS: --tls-verify=false allows plain HTTP\n");
    assert_eq!(manifests(&double), 1);
}

#[test]
fn the_loopback_and_no_proxy_are_reached_directly() {
    needs!(Userns);
    let (home, double) = (Home::new(), honest());
    let proxy = Proxy::http(&double.host());
    home.berth(["pull", "-q", &double.url()])
        .env("all_proxy", proxy.host())
        .ok();
    assert_eq!(proxy.told(""), 0, "the loopback");
    // without a network, whoever is reached directly is not reached
    let dead = format!("127.0.0.1:{}", free_port());
    let ask = |except: &str| {
        let script = "unshare -Urn \"$BERTH\" --root \"$ROOT\" pull docker://192.0.2.7:5000/app";
        home.sh(script)
            .env("https_proxy", &dead)
            .env("no_proxy", except)
            .fails(1)
            .one_error()
    };
    let through = format!("cannot reach 192.0.2.7:5000 through proxy {dead}: ");
    ask("").err_has(&through);
    ask("192.0.2.7:443,192.0.3.0/24,example.com").err_has(&through);
    for except in ["192.0.2.0/24", "x.example, 192.0.2.7:5000", "*"] {
        let ran = ask(except);
        ran.err_has("cannot reach 192.0.2.7:5000: ");
    }
}

#[test]
fn socks_looks_names_up_itself() {
    let (home, double) = (Home::new(), honest());
    let proxy = Proxy::socks(&double.host());
    for scheme in ["socks5h", "socks5"] {
        let before = proxy.told("");
        home.berth([
            "pull",
            "-q",
            "--tls-verify=false",
            "registry.example:5000/app",
        ])
        .env("ALL_PROXY", format!("{scheme}://{}", proxy.host()))
        .ok();
        assert!(proxy.told("") > before, "{scheme}");
        assert_eq!(
            proxy.told(""),
            proxy.told("kind 3 registry.example"),
            "by name"
        );
    }
}

#[test]
fn a_proxy_that_makes_no_sense_is_refused_without_its_password() {
    let ran = Home::new()
        .berth(["pull", "docker://registry.example/app"])
        .env("https_proxy", "gopher://u:secret@p:1")
        .fails(1)
        .one_error();
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    ran.err_has(
        "proxy of the environment is malformed: its scheme is not http, https, socks5 or socks5h\n",
    );
}
