//! A registry to write to that does as it is told: it breaks off, leads elsewhere, and writes down what it was sent.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::pull::double::{Asked, read_head};
use crate::support::digest;

/// What is done instead of the right thing.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answers so, whatever was sent.
    Status(u16, Vec<(String, String)>),
    /// Takes so many bytes of the body and ends the connection.
    Break { after: usize },
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<Asked>,
    /// What came of each session.
    sessions: HashMap<String, Vec<u8>>,
    blobs: HashMap<String, Vec<u8>>,
    manifests: HashMap<String, Vec<u8>>,
}

/// A registry on loopback in plain HTTP.
#[derive(Debug)]
pub struct Uploads {
    port: u16,
    state: Arc<Mutex<State>>,
}

type Script = dyn Fn(&Asked, usize) -> Option<Answer> + Send + Sync;

impl Uploads {
    /// Takes everything, except where `script` has an answer: it is given what was asked, its body still to come, and
    /// how often this method was asked for.
    pub fn serve(script: impl Fn(&Asked, usize) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, script): (_, Arc<Script>) = (Arc::clone(&state), Arc::new(script));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (state, script) = (Arc::clone(&shared), Arc::clone(&script));
                thread::spawn(move || one(connection, &state, &*script));
            }
        });
        Self { port, state }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Every request of that method; of any when it is empty.
    pub fn asked(&self, method: &str) -> Vec<Asked> {
        let state = self.state.lock().unwrap();
        let fits = |it: &&Asked| method.is_empty() || it.method == method;
        state.asked.iter().filter(fits).cloned().collect()
    }

    pub fn has_blob(&self, digest: &str) -> bool {
        self.state.lock().unwrap().blobs.contains_key(digest)
    }

    pub fn has_manifest(&self, tag: &str) -> bool {
        self.state.lock().unwrap().manifests.contains_key(tag)
    }
}

fn one(mut connection: TcpStream, state: &Mutex<State>, script: &Script) {
    let Some(mut asked) = read_head(&mut connection) else {
        let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    let tries = {
        let state = state.lock().unwrap();
        let same = state.asked.iter().filter(|it| it.method == asked.method);
        same.count() + 1
    };
    let answer = script(&asked, tries);
    let length: usize = asked
        .header("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let take = match answer {
        Some(Answer::Break { after }) => after.min(length),
        _ => length,
    };
    let mut body = vec![0; take];
    if connection.read_exact(&mut body).is_err() {
        return;
    }
    asked.body = body;
    let mut state = state.lock().unwrap();
    state.asked.push(asked.clone());
    let (status, headers) = match answer {
        Some(Answer::Status(status, headers)) => (status, headers),
        Some(Answer::Break { .. }) => {
            let session = asked.path.split('?').next().unwrap().to_owned();
            state
                .sessions
                .entry(session)
                .or_default()
                .extend(&asked.body);
            return;
        }
        None => honest(&mut state, &asked),
    };
    drop(state);
    let mut text =
        format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\nContent-Length: 0\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = connection.write_all(format!("{text}\r\n").as_bytes());
}

/// What a good registry does.
fn honest(state: &mut State, asked: &Asked) -> (u16, Vec<(String, String)>) {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let (last, none) = (path.rsplit('/').next().unwrap().to_owned(), Vec::new());
    let session = || vec![("Location".to_owned(), format!("{path}?state=1"))];
    let is_upload = path.contains("/blobs/uploads/");
    match asked.method.as_str() {
        "GET" if path == "/v2/" => (200, none),
        "HEAD" if path.contains("/manifests/") => (404, none),
        "HEAD" => (
            if state.blobs.contains_key(&last) {
                200
            } else {
                404
            },
            none,
        ),
        "POST" => {
            let number = state.asked.len();
            (
                202,
                vec![("Location".into(), format!("{path}{number}?state=0"))],
            )
        }
        "PATCH" => {
            let come = state.sessions.entry(path.into()).or_default();
            come.extend(&asked.body);
            (202, session())
        }
        "GET" if is_upload => {
            let come = state.sessions.get(path).map_or(0, Vec::len);
            let mut headers = session();
            headers.push(("Range".into(), format!("0-{}", come.saturating_sub(1))));
            (204, headers)
        }
        "PUT" if is_upload => {
            let mut blob = state.sessions.remove(path).unwrap_or_default();
            blob.extend(&asked.body);
            let wanted = query.split("digest=").nth(1).unwrap().replace("%3A", ":");
            if digest(&blob) != wanted {
                return (400, none);
            }
            state.blobs.insert(wanted, blob);
            (201, none)
        }
        "PUT" => {
            state.manifests.insert(last, asked.body.clone());
            (201, none)
        }
        _ => (405, none),
    }
}
