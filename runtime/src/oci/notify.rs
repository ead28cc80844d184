//! Readiness, as sd_notify(3) has it: a program in a container talks to the service manager itself.
//!
//! # Model
//!
//! The file of the host's socket is bound into the container, and `NOTIFY_SOCKET` names it there. runc and crun listen on a
//! socket of their own instead and pass `READY=1` on; what a program says after they have gone (`WATCHDOG=1`, `STATUS=`,
//! `STOPPING=1`, descriptors for the store) is lost, and someone has to wait for it. A datagram that goes straight to the
//! manager carries the sender's pid as the manager knows it, since the kernel translates it, so the program is what the
//! manager believes it to be.
//!
//! Before the program runs, we say `MAINPID=` of the container's first process. Datagrams of one socket keep their order:
//! under `NotifyAccess=main` the manager knows the main process before that says anything. So nobody has to wait for
//! `READY=1`: the manager does.
//!
//! A socket in the abstract name space needs no file, and is seen wherever the host's network is.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::normalise::is_bind;
use crate::error::{Error, Result};

/// The variable.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// Where the socket may be in a container, the first that is not somebody's own directory.
const PLACES: [(&str, &str); 3] = [
    ("/run", "/run/berth-notify"),
    ("/dev", "/dev/berth-notify"),
    ("/", "/berth-notify"),
];

/// Gives the document the socket of the service manager: a mount and a variable. Says so when the container cannot reach it.
pub(crate) fn offer(socket: &OsStr, spec: &mut Value, own_network: bool) -> Option<String> {
    let path = Path::new(socket);
    if socket.as_bytes().starts_with(b"@") {
        if own_network {
            return Some(
                "NOTIFY_SOCKET not passed on: an abstract socket is the host's network's".into(),
            );
        }
        set(spec, &socket.to_string_lossy());
        return None;
    }
    if !path.is_absolute() {
        return Some(format!(
            "NOTIFY_SOCKET not passed on: {} is no path",
            path.display()
        ));
    }
    let binds = spec["mounts"].as_array().cloned().unwrap_or_default();
    if is_seen(path, &binds) {
        set(spec, &socket.to_string_lossy());
        return None;
    }
    let taken = |dir: &str| {
        binds
            .iter()
            .any(|mount| is_bind(mount) && place(mount) == Some(Path::new(dir)))
    };
    let found = PLACES.iter().find(|(dir, _)| !taken(dir));
    let inside = found.map_or(PLACES[0].1, |(_, inside)| *inside);
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.push(json!({
            "destination": inside, "type": "bind", "source": path, "options": ["bind", "nosuid", "nodev", "noexec"],
        }));
    }
    set(spec, inside);
    None
}

/// Whether the host's path is the same file in the container: the innermost mount over it shows the host's own directory.
fn is_seen(path: &Path, mounts: &[Value]) -> bool {
    let over = mounts
        .iter()
        .filter(|mount| place(mount).is_some_and(|place| path.starts_with(place)));
    let inner = over.max_by_key(|mount| place(mount).map_or(0, |place| place.components().count()));
    inner.filter(|mount| is_bind(mount)).is_some_and(|mount| {
        let source = mount["source"].as_str().map(Path::new);
        source.is_some() && source == place(mount)
    })
}

fn place(mount: &Value) -> Option<&Path> {
    mount["destination"].as_str().map(Path::new)
}

fn set(spec: &mut Value, value: &str) {
    if let Some(env) = spec["process"]["env"].as_array_mut() {
        env.retain(|var| {
            !var.as_str()
                .is_some_and(|var| var.starts_with("NOTIFY_SOCKET="))
        });
        env.push(json!(format!("{VARIABLE}={value}")));
    }
}

/// Tells the service manager which process is the service's main one.
pub(crate) fn tell_main(socket: &OsStr, pid: i32) -> Result<()> {
    let message = format!("MAINPID={pid}\n");
    let failed = || Error::io("tell the service manager at", PathBuf::from(socket));
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    };
    let sender = UnixDatagram::unbound().map_err(failed())?;
    let address = address.map_err(failed())?;
    sender
        .send_to_addr(message.as_bytes(), &address)
        .map(drop)
        .map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(mounts: Value) -> (Value, Value) {
        let mut spec = json!({"process": {"env": ["NOTIFY_SOCKET=/old"]}, "mounts": mounts});
        assert_eq!(
            offer(OsStr::new("/run/systemd/notify"), &mut spec, false),
            None
        );
        (spec["process"]["env"].clone(), spec["mounts"].clone())
    }

    #[test]
    fn the_socket_goes_where_nobody_has_a_directory() {
        let bind = |place: &str, source: &str| json!({"destination": place, "type": "bind", "source": source});
        let tmpfs = json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs"});
        for (mounts, place) in [
            (json!([]), "/run/berth-notify"),
            (json!([tmpfs]), "/run/berth-notify"),
            (json!([bind("/run", "/srv")]), "/dev/berth-notify"),
            (
                json!([bind("/run", "/srv"), bind("/dev", "/dev")]),
                "/berth-notify",
            ),
            (
                json!([
                    bind("/run", "/run"),
                    tmpfs.clone(),
                    bind("/run/systemd", "/other")
                ]),
                "/dev/berth-notify",
            ),
        ] {
            let (env, after) = offered(mounts.clone());
            assert_eq!(env, json!([format!("NOTIFY_SOCKET={place}")]), "{mounts}");
            let last = after
                .as_array()
                .and_then(|mounts| mounts.last())
                .expect("a mount");
            assert_eq!(
                (&last["destination"], &last["source"]),
                (&json!(place), &json!("/run/systemd/notify"))
            );
        }
    }

    #[test]
    fn where_the_hosts_run_is_seen_nothing_is_mounted() {
        for place in ["/run", "/", "/run/systemd"] {
            let mounts = json!([{"destination": place, "type": "bind", "source": place, "options": ["rbind"]}]);
            assert_eq!(
                offered(mounts.clone()),
                (json!(["NOTIFY_SOCKET=/run/systemd/notify"]), mounts)
            );
        }
    }

    #[test]
    fn an_abstract_socket_is_the_networks() {
        let mut spec = json!({"process": {"env": []}, "mounts": []});
        assert!(offer(OsStr::new("@a"), &mut spec, true).is_some());
        assert_eq!(spec["process"]["env"], json!([]));
        assert_eq!(offer(OsStr::new("@a"), &mut spec, false), None);
        assert_eq!(
            (&spec["process"]["env"], &spec["mounts"]),
            (&json!(["NOTIFY_SOCKET=@a"]), &json!([]))
        );
        assert!(offer(OsStr::new("vsock:2:1"), &mut spec, false).is_some());
    }
}
