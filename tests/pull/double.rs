//! A registry that does as it is told: it cuts answers, lies about them, sends its callers elsewhere.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::digest;
use crate::support::image::{Image, OCI_MANIFEST};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Header names are lower case.
    pub headers: Vec<(String, String)>,
    pub at: Instant,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Where the wanted range starts.
    pub fn start(&self) -> usize {
        let range = self
            .header("range")
            .and_then(|it| it.strip_prefix("bytes="));
        range.map_or(0, |it| it.trim_end_matches('-').parse().unwrap())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How much of the body is sent before the connection ends.
    pub cut: Option<usize>,
    /// After how much of the body nothing comes until the gate opens.
    pub pause: Option<(usize, Gate)>,
    /// How many bytes are sent at a time, and the wait before each.
    pub pace: Option<(usize, Duration)>,
    /// Whether the body goes on for ever behind its end; no length is said then.
    pub endless: bool,
    /// Whether the connection is reset at its end instead of closed.
    pub reset: bool,
}

/// What answers wait at; cheap to clone, closed at first.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everybody through from now on.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let is_open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(is_open, |is_open| !*is_open).unwrap());
    }
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            cut: None,
            pause: None,
            pace: None,
            endless: false,
            reset: false,
        }
    }

    /// No answer: the connection is reset.
    pub fn none() -> Self {
        Self::status(0).reset()
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::status(200)
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    pub fn pause(mut self, at: usize, gate: &Gate) -> Self {
        self.pause = Some((at, gate.clone()));
        self
    }

    /// Nothing comes after `at` bytes, for ever.
    pub fn stall(self, at: usize) -> Self {
        self.pause(at, &Gate::default())
    }

    pub fn pace(mut self, bytes: usize, wait: Duration) -> Self {
        self.pace = Some((bytes, wait));
        self
    }

    pub fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    pub fn reset(mut self) -> Self {
        self.reset = true;
        self
    }
}

type Script = dyn Fn(&Asked) -> Option<Answer> + Send + Sync;

/// A registry with one image, `app:latest`, on loopback in plain HTTP.
#[derive(Debug)]
pub struct Double {
    port: u16,
    log: Arc<Log>,
}

/// What came and what went.
#[derive(Debug, Default)]
struct Log {
    asked: Mutex<Vec<Asked>>,
    /// The path of each answer, and how many bytes of its body were really sent.
    served: Mutex<Vec<(String, u64)>>,
}

impl Double {
    /// Serves `image` honestly, except where `script` has an answer of its own.
    pub fn serve(
        image: &Image,
        script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Log::default());
        let (image, log) = (image.clone(), Arc::clone(&shared));
        let script: Arc<Script> = Arc::new(move |it| script(it).or_else(|| honest(&image, it)));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || answer(connection, &*script, &log));
            }
        });
        Self { port, log: shared }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("docker://{}/app", self.host())
    }

    /// Every request so far whose path holds `text`.
    pub fn asked(&self, text: &str) -> Vec<Asked> {
        let asked = self.log.asked.lock().unwrap();
        asked
            .iter()
            .filter(|it| it.path.contains(text))
            .cloned()
            .collect()
    }

    /// How many bytes of bodies were sent so far from paths that hold `text`.
    pub fn served(&self, text: &str) -> u64 {
        let served = self.log.served.lock().unwrap();
        let of_text = served.iter().filter(|(path, _)| path.contains(text));
        of_text.map(|(_, bytes)| bytes).sum()
    }
}

/// What a good registry says.
fn honest(image: &Image, asked: &Asked) -> Option<Answer> {
    let path = asked.path.split('?').next().unwrap();
    if path == "/v2/" {
        return Some(Answer::ok("{}"));
    }
    let manifest = serde_json::to_vec(&image.manifest()).unwrap();
    if let Some(name) = path.strip_prefix("/v2/app/manifests/") {
        let known = name == "latest" || name == digest(&manifest);
        return known.then(|| Answer::ok(manifest).with("Content-Type", OCI_MANIFEST));
    }
    let wanted = path.strip_prefix("/v2/app/blobs/")?;
    let config = image.config_bytes();
    if wanted == digest(&config) {
        return Some(Answer::ok(config));
    }
    let layer = image.layers.iter().find(|layer| layer.digest == wanted)?;
    Some(ranged(&layer.blob, asked))
}

/// The rest of `body` that was asked for.
pub fn ranged(body: &[u8], asked: &Asked) -> Answer {
    let start = asked.start();
    if start == 0 {
        return Answer::ok(body);
    }
    let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
    let mut answer = Answer::ok(&body[start..]).with("Content-Range", range);
    answer.status = 206;
    answer
}

fn answer(mut connection: TcpStream, script: &Script, log: &Log) {
    let _ = connection.set_read_timeout(Some(Duration::from_secs(20)));
    let Some(asked) = read(&mut connection) else {
        // A TLS greeting, most likely.
        let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    log.asked.lock().unwrap().push(asked.clone());
    let answer = script(&asked).unwrap_or_else(|| Answer::status(404));
    let mut head = format!(
        "HTTP/1.1 {} Whatever\r\nConnection: close\r\n",
        answer.status
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = answer
        .headers
        .iter()
        .any(|(name, _)| name == "Content-Length");
    if !has_length && !answer.endless {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    if answer.status > 0 {
        let _ = connection.write_all(head.as_bytes());
        let _ = connection.write_all(b"\r\n");
    }
    let entry = {
        let mut served = log.served.lock().unwrap();
        served.push((asked.path, 0));
        served.len() - 1
    };
    let mut send = |bytes: &[u8]| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = connection.write(rest).ok().filter(|count| *count > 0)?;
            log.served.lock().unwrap()[entry].1 += count as u64;
            rest = &rest[count..];
        }
        Some(())
    };
    // Whoever has gone away is sent no more.
    let _ = send_body(&answer, &mut send);
    if answer.reset {
        let _ = rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO));
    }
}

fn send_body(answer: &Answer, send: &mut dyn FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let end = answer.cut.unwrap_or(usize::MAX).min(answer.body.len());
    let (mut at, mut pause) = (0, answer.pause.as_ref());
    while at < end {
        let mut next = end;
        if let Some((gate_at, gate)) = pause {
            match *gate_at <= at {
                true => {
                    gate.pass();
                    pause = None;
                }
                false => next = next.min(*gate_at),
            }
        }
        if let Some((bytes, wait)) = answer.pace {
            thread::sleep(wait);
            next = next.min(at + bytes);
        }
        send(&answer.body[at..next])?;
        at = next;
    }
    if let Some((_, gate)) = pause {
        gate.pass();
    }
    if !answer.endless {
        return Some(());
    }
    loop {
        send(&[b' '; 4096])?;
    }
}

fn read(connection: &mut TcpStream) -> Option<Asked> {
    let mut asked = read_head(connection)?;
    let length = asked.header("content-length").map(|it| it.parse().unwrap());
    asked.body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// What is asked, its body still to come; nothing of one that does not speak HTTP.
pub fn read_head(connection: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).ok()? == 0 || (head.is_empty() && byte[0] == 0x16) {
            return None;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).ok()?;
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Some(Asked {
        method,
        path,
        headers,
        body: Vec::new(),
        at: Instant::now(),
    })
}
