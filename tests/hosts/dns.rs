//! Who learns which names berth looks up: only the servers of `/etc/resolv.conf`, and nobody without it.
//!
//! The test makes a network of its own, with listeners where a resolver could turn to, and a way out to the rest of the
//! world that counts packets.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use super::{honest, manifests};
use crate::needs;
use crate::support::Home;
use crate::support::user::Ran;

/// A name server on one address of the loopback that remembers the names it was asked for.
#[derive(Clone)]
struct Server {
    address: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Knows `known` as 127.0.0.1, and no other name.
    fn start(address: &'static str, known: &'static str) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, socket) = (Arc::clone(&asked), UdpSocket::bind((address, 53)).unwrap());
        let refused = TcpListener::bind((address, 53)).unwrap();
        let tcp = Arc::clone(&asked);
        thread::spawn(move || {
            for _ in refused.incoming() {
                tcp.lock().unwrap().push("over TCP".into());
            }
        });
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let (name, answer) = answer(&packet[..length], known);
                log.lock().unwrap().push(name);
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { address, asked }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// The name of a question, and the answer: an address for A, nothing for AAAA, or that there is no such name.
fn answer(question: &[u8], known: &str) -> (String, Vec<u8>) {
    let (mut name, mut at) = (String::new(), 12);
    while question[at] != 0 {
        let length = usize::from(question[at]);
        name += &String::from_utf8_lossy(&question[at + 1..=at + length]).to_lowercase();
        name.push('.');
        at += 1 + length;
    }
    let is_a = question[at + 1..at + 3] == [0, 1];
    let found = name == known;
    let mut answer = question[..at + 5].to_vec();
    answer[2..4].copy_from_slice(&[0x81, if found { 0x80 } else { 0x83 }]);
    answer[6..12].copy_from_slice(&[0, u8::from(found && is_a), 0, 0, 0, 0]);
    if found && is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    (name, answer)
}

/// Packets that left for the rest of the world, in the network of this thread.
fn packets_out() -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table
        .lines()
        .find(|line| line.trim_start().starts_with("out0:"))
        .unwrap();
    line.split_whitespace().nth(10).unwrap().parse().unwrap()
}

/// A world with `/etc` and a network of its own. Whatever `test` starts runs there.
fn in_own_network(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(move || {
        #[allow(
            deprecated,
            reason = "only this thread moves, and into an empty network"
        )]
        rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
        let script = "ip link set lo up
            ip link add out0 type veth peer name out1
            for one in out0 out1; do echo 1 >/proc/sys/net/ipv6/conf/$one/disable_ipv6; done
            ip link set out1 up
            ip address add 198.51.100.2/24 dev out0
            ip link set out0 up
            ip route add default via 198.51.100.1 onlink dev out0
            ip neighbour add 198.51.100.1 lladdr 02:00:00:00:00:01 dev out0";
        let done = Command::new("sh").args(["-ec", script]).status().unwrap();
        assert!(done.success(), "no network to test in");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Pulls by this name with this `/etc/resolv.conf` and `/etc/hosts`.
fn pull(home: &Home, name: &str, etc: &[(&str, &str)]) -> Ran {
    let folder: PathBuf = home.join("etc");
    let _ = fs::remove_dir_all(&folder);
    super::directory(home, "etc", &[]);
    for (file, text) in etc {
        home.write(&format!("etc/{file}"), text);
    }
    if etc.contains(&("resolv.conf", UNREADABLE)) {
        // a directory: the mapped root of the test's namespace may read all of its user's files
        fs::remove_file(folder.join("resolv.conf")).unwrap();
        fs::create_dir(folder.join("resolv.conf")).unwrap();
    }
    let script = "unshare -Urm sh -ec 'mount --bind etc /etc
        exec \"$BERTH\" --root \"$ROOT\" pull -q --tls-verify=false \"$0\"' \"$NAME\"";
    home.sh(script).env("NAME", name).run()
}

const UNREADABLE: &str = "not to be read";
const CONFIGURED: &str = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n";

#[test]
fn only_the_configured_name_server_learns_a_name() {
    needs!(Root, Userns);
    in_own_network(|| {
        let (home, double) = (Home::new(), honest());
        let port = double.host().rsplit_once(':').unwrap().1.to_owned();
        let configured = Server::start("127.0.0.53", "registry.test.");
        // whom the C library asks when nobody is configured
        let trap = Server::start("127.0.0.1", "registry.test.");
        let quiet = || (trap.take(), packets_out());
        let nobody = (Vec::<String>::new(), packets_out());
        let name = format!("registry.test:{port}/app");

        // nobody is configured
        for (etc, why) in [
            (&[][..], "is not there"),
            (&[("resolv.conf", UNREADABLE)], "cannot be read"),
            (&[("resolv.conf", "")], "names no name server"),
            (
                &[("resolv.conf", "# nothing\nsearch test\noptions ndots:2\n")],
                "names no name server",
            ),
            (
                &[("resolv.conf", "nameserver junk\n")],
                "names no name server",
            ),
        ] {
            let ran = pull(&home, &name, etc);
            assert_eq!(
                (configured.take(), quiet()),
                (vec![], nobody.clone()),
                "{why}"
            );
            let ran = ran.code(1).one_error();
            ran.err_has(&format!(
                "cannot reach registry.test:{port}: cannot look up registry.test, since /etc/resolv.conf {why}\n"
            ))
            .err_has("hint: only the name servers of /etc/resolv.conf are asked");
        }
        assert_eq!(manifests(&double), 0);

        // one is configured, and only it is asked
        pull(&home, &name, &[("resolv.conf", CONFIGURED)]).code(0);
        let asked: BTreeSet<_> = configured.take().into_iter().collect();
        assert_eq!(asked, BTreeSet::from(["registry.test.".into()]));
        assert_eq!((quiet(), manifests(&double)), (nobody.clone(), 1));
        let ran = pull(&home, "other.test/app", &[("resolv.conf", CONFIGURED)]).code(1);
        ran.err_has("cannot reach other.test:443: no address is known for other.test\n");
        assert_eq!(
            configured
                .take()
                .iter()
                .filter(|it| *it != "other.test.")
                .count(),
            0
        );
        assert_eq!(quiet(), nobody);

        // the search list
        let search = format!("{CONFIGURED}search nowhere.test test\n");
        pull(
            &home,
            &format!("registry:{port}/app"),
            &[("resolv.conf", &search)],
        )
        .code(0);
        let asked: BTreeSet<_> = configured.take().into_iter().collect();
        assert!(asked.contains("registry.nowhere.test.") && asked.contains("registry.test."));
        assert_eq!(quiet(), nobody);

        // what is in /etc/hosts is asked of nobody, whether there is a server or not
        let hosts = ("hosts", "127.0.0.1 known.test\n");
        for etc in [&[hosts][..], &[hosts, ("resolv.conf", CONFIGURED)]] {
            pull(&home, &format!("Known.test:{port}/app"), etc).code(0);
            assert_eq!((configured.take(), quiet()), (vec![], nobody.clone()));
        }
        assert_eq!(configured.address, "127.0.0.53");
    });
}

#[test]
fn the_world_outside_is_seen_when_it_is_asked() {
    needs!(Root, Userns);
    in_own_network(|| {
        let home = Home::new();
        let before = packets_out();
        let resolv = "nameserver 203.0.113.53\noptions timeout:1 attempts:1\n";
        let ran = pull(&home, "registry.test/app", &[("resolv.conf", resolv)]);
        assert_eq!(ran.exit(), 1);
        assert!(packets_out() > before, "the counter counts");
    });
}
