//! docker's daemon, played by a few lines that speak its export API on a socket.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use super::image;
use crate::support::{Home, digest};

struct Daemon {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

/// How a body ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Chunked,
    Cut,
}

impl Daemon {
    /// Answers every request with this; a body that is no error is sent in chunks, as the daemon does.
    fn answer(home: &Home, status: &'static str, body: Vec<u8>, end: End) -> Self {
        let socket = home.join("docker.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let line = String::from_utf8_lossy(&head)
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                log.lock().unwrap().push(line);
                let start = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n"
                );
                let _ = connection.write_all(start.as_bytes());
                for chunk in body.chunks(1000) {
                    let _ = connection.write_all(format!("{:x}\r\n", chunk.len()).as_bytes());
                    let _ = connection.write_all(chunk);
                    let _ = connection.write_all(b"\r\n");
                }
                if end == End::Chunked {
                    let _ = connection.write_all(b"0\r\n\r\n");
                }
            }
        });
        Self { socket, asked }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn export(home: &Home, tags: &[&str]) -> Vec<u8> {
    let path = home.join("export.tar");
    image().write_docker_archive(&path, tags);
    std::fs::read(path).unwrap()
}

#[test]
fn an_image_comes_out_of_the_daemon() {
    let home = Home::new();
    let daemon = Daemon::answer(
        &home,
        "200 OK",
        export(&home, &["app:latest"]),
        End::Chunked,
    );
    let archive = format!("docker-archive:{}", home.join("export.tar").display());
    let (digest, id, files) = super::pulled(&home, &archive);
    for (source, request, name) in [
        (
            "docker-daemon:app",
            "app:latest",
            "docker.io/library/app:latest",
        ),
        ("docker:app", "app:latest", "docker.io/library/app:latest"),
        ("docker:app:2", "app:2", "docker.io/library/app:2"),
        (
            "docker-daemon:localhost:5000/a/app:1",
            "localhost:5000/a/app:1",
            "localhost:5000/a/app:1",
        ),
        (
            "docker-daemon:docker.io/library/app",
            "app:latest",
            "docker.io/library/app:latest",
        ),
    ] {
        let store = Home::new();
        let ran = store
            .berth(["pull", "-q", source])
            .env("DOCKER_HOST", daemon.host())
            .ok();
        assert_eq!(ran.stdout, format!("{name}@{digest}\n"), "{source}");
        assert_eq!(
            daemon.asked(),
            [format!("GET /images/{request}/get HTTP/1.1")]
        );
        let shown = store.berth(["inspect", name]).ok().json();
        assert_eq!(shown["id"], id.as_str());
        assert_eq!(store.berth(["ls", "-R", "-l", name]).ok().stdout, files);
    }
}

#[test]
fn an_image_is_asked_for_by_its_id() {
    let home = Home::new();
    let daemon = Daemon::answer(&home, "200 OK", export(&home, &[]), End::Chunked);
    let id = digest(&image().config_bytes());
    let ran = home
        .berth(["pull", "-q", &format!("docker-daemon:{id}")])
        .env("DOCKER_HOST", daemon.host())
        .ok();
    assert!(
        ran.stdout.starts_with(&format!("{id}@sha256:")),
        "{}",
        ran.stdout
    );
    assert_eq!(daemon.asked(), [format!("GET /images/{id}/get HTTP/1.1")]);
}

#[test]
fn what_the_daemon_has_not_is_said() {
    let home = Home::new();
    let text = br#"{"message":"No such image: app:latest"}"#;
    let daemon = Daemon::answer(&home, "404 Not Found", text.to_vec(), End::Chunked);
    home.berth(["pull", "docker-daemon:app"])
        .env("DOCKER_HOST", daemon.host())
        .fails(1)
        .one_error()
        .err_has(&format!(
            "error: cannot pull docker-daemon:app:latest: image app:latest not found in docker's daemon at {}\n",
            daemon.socket.display()
        ));
    let text = b"{\"message\":\"no space\\u001b[1m left\"}";
    let daemon = Daemon::answer(&home, "500 Oops", text.to_vec(), End::Chunked);
    home.berth(["pull", "docker-daemon:app"])
        .env("DOCKER_HOST", daemon.host())
        .fails(1)
        .one_error()
        .err_has("answered 500 for image app:latest: no space[1m left\n");
    let mut body = export(&home, &["app:latest"]);
    body.truncate(body.len() / 2);
    let daemon = Daemon::answer(&home, "200 OK", body, End::Cut);
    home.berth(["pull", "docker-daemon:app"])
        .env("DOCKER_HOST", daemon.host())
        .fails(1)
        .one_error()
        .err_has(&format!(
            "cannot read docker's daemon at {}: ",
            daemon.socket.display()
        ));
}

#[test]
fn a_daemon_that_is_not_there_is_said() {
    let home = Home::new();
    let socket = home.join("no.sock");
    home.berth(["pull", "docker:dind"])
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .fails(1)
        .one_error()
        .err_has(&format!(
            "error: cannot pull docker-daemon:dind:latest: cannot reach docker's daemon at {}: No such file or directory\n",
            socket.display()
        ))
        .err_has("the image `docker` of a registry is docker://docker:TAG");
    home.berth(["pull", "docker-daemon:app"])
        .env("DOCKER_HOST", "tcp://127.0.0.1:1")
        .fails(1)
        .one_error()
        .err_has("cannot use docker's daemon at tcp://127.0.0.1:1: not supported\n");
    home.berth(["pull", "docker-daemon:App"])
        .fails(2)
        .one_error()
        .err_has("a repository is lower case");
}
