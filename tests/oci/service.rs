//! What a service manager gives its services: sockets, a place to say that they are ready, a control group.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};
use serde_json::{Value, json};

use super::{STAYS, World, names, until};
use crate::needs;

/// Programs of the host, for what busybox cannot do.
fn with_the_hosts_python(config: &mut Value, more: &[Value]) {
    let mounts = config["mounts"].as_array_mut().unwrap();
    for dir in ["/usr", "/lib", "/lib64"] {
        mounts.push(
            json!({"destination": dir, "type": "bind", "source": dir, "options": ["rbind", "ro"]}),
        );
    }
    mounts.extend(more.iter().cloned());
}

/// The next datagram, and who sent it.
fn heard(socket: &UnixDatagram) -> (String, i32) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 256];
    let got = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::empty(),
    )
    .unwrap();
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid.as_raw_nonzero().get()),
        _ => None,
    });
    (
        String::from_utf8_lossy(&bytes[..got.bytes]).into_owned(),
        sender.unwrap(),
    )
}

#[test]
fn a_program_is_ready_by_itself_for_a_user() {
    needs!(Images, Userns);
    is_ready(&World::of_user());
}

#[test]
fn a_program_is_ready_by_itself_for_root() {
    needs!(Images, Root);
    is_ready(&World::of_root());
}

fn is_ready(world: &World) {
    if !Path::new("/usr/bin/python3").exists() {
        return;
    }
    let path = world.home.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    sockopt::set_socket_passcred(&socket, true).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    world.home.program("mkdir").args(["go"]).ok();
    let program = "import socket,os,time\n\
        def say(text): socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text, os.environ['NOTIFY_SOCKET'])\n\
        say(b'READY=1')\n\
        while not os.path.exists('/go/on'): time.sleep(0.02)\n\
        say(b'WATCHDOG=1\\nSTATUS=well')\n\
        time.sleep(99)\n";
    world.bundle("web", "", |config| {
        let go = json!({"destination": "/go", "type": "bind", "source": world.home.join("go"), "options": ["rbind", "ro"]});
        with_the_hosts_python(config, &[go]);
        config["process"]["args"] = json!(["/usr/bin/python3", "-c", program]);
    });
    let ran = world
        .oci(&["run", "-d", "--pid-file", "pid", "-b", "web", "web"])
        .env("NOTIFY_SOCKET", &path)
        .ok();
    assert_eq!(ran.stderr, "");
    let pid: i32 = fs::read_to_string(world.home.join("pid"))
        .unwrap()
        .parse()
        .unwrap();
    let (text, sender) = heard(&socket);
    assert_eq!(text, format!("MAINPID={pid}\n"));
    assert_ne!(sender, pid, "that was us");
    // From here on it is the main process itself, whom NotifyAccess=main lets speak.
    assert_eq!(heard(&socket), ("READY=1".to_owned(), pid));
    world.home.write("go/on", "");
    assert_eq!(heard(&socket), ("WATCHDOG=1\nSTATUS=well".to_owned(), pid));
    // It is the first process's to speak, and no other's by accident.
    let env = world.oci(&["exec", "web", "/usr/bin/env"]).ok();
    assert!(!env.stdout.contains("NOTIFY_SOCKET"), "{}", env.stdout);
}

#[test]
fn descriptors_are_handed_on_and_no_others() {
    needs!(Images, Userns);
    let world = World::of_user();
    let script = "cat <&3; cat <&4; echo $$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES; for fd in 5 6 7 8 9; do if (: <&$fd) 2>/dev/null; then echo $fd is open; fi; done";
    for own_pids in [true, false] {
        world.bundle("b", script, |config| {
            if !own_pids {
                config["linux"]["namespaces"].as_array_mut().unwrap().retain(|it| it["type"] != "pid");
                let mounts = config["mounts"].as_array_mut().unwrap();
                let proc = mounts.iter_mut().find(|it| it["destination"] == "/proc").unwrap();
                *proc = json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]});
                config["linux"].as_object_mut().unwrap().remove("maskedPaths");
                config["linux"].as_object_mut().unwrap().remove("readonlyPaths");
            }
        });
        let run_dir = world.run_dir();
        let line = format!(
            "echo one > 1; echo two > 2; echo secret > s; exec 3<1 4<2 5<s 7<s; \
             LISTEN_FDS=2 LISTEN_FDNAMES=web:api exec $BERTH --run-dir {} oci run -b b b",
            run_dir.display()
        );
        let ran = world.home.sh(&line).ok();
        let lines: Vec<&str> = ran.stdout.lines().collect();
        let words: Vec<&str> = lines[2].split(' ').collect();
        assert_eq!(lines[..2], ["one", "two"]);
        assert_eq!(words[0], words[1], "LISTEN_PID is its pid: {lines:?}");
        assert_eq!(
            (words[0] == "1", &words[2..]),
            (own_pids, &["2", "web:api"][..])
        );
        assert_eq!(lines.len(), 3, "others are closed: {lines:?}");
        // --preserve-fds come behind them.
        let more = line.replace("oci run", "oci run --preserve-fds 1");
        assert_eq!(
            world.home.sh(&more).ok().stdout.lines().nth(3),
            Some("5 is open")
        );
        fs::remove_dir_all(world.home.join("b")).unwrap();
    }
    world.bundle("b", "true", |_| ());
    let ran = world
        .oci(&["run", "-b", "b", "b"])
        .env("LISTEN_FDS", "9")
        .fails(1)
        .one_error();
    assert!(ran.stderr.contains("is not open"), "{}", ran.stderr);
}

/// Of the control groups of version 1, which this needs.
fn version_1() -> bool {
    Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists()
}

#[test]
fn root_has_real_owners_and_real_limits() {
    needs!(Images, Root);
    let world = World::of_root();
    let map = world.prints(
        "cat /proc/self/uid_map; touch /tmp/mine; chown 33:34 /tmp/mine",
        |config| {
            config["root"]["readonly"] = json!(false);
            let caps = json!(["CAP_CHOWN"]);
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = caps.clone();
            }
        },
    );
    assert_eq!(
        map.split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "4294967295"]
    );
    let made = fs::metadata(world.home.join("rootfs/tmp/mine")).unwrap();
    assert_eq!((made.uid(), made.gid()), (33, 34));
    if !version_1() {
        return;
    }
    let id = format!("limited-{}", std::process::id());
    world.bundle(&id, STAYS, |config| {
        config["linux"]["resources"] = json!({"memory": {"limit": 67108864}, "pids": {"limit": 50}, "devices": [{"allow": false, "access": "rwm"}]});
    });
    let pid = world.detached(&id);
    let group = |tree: &str| format!("/sys/fs/cgroup/{tree}/berth-{id}");
    let read = |file: String| fs::read_to_string(file).unwrap().trim().to_owned();
    assert_eq!(
        read(format!("{}/memory.limit_in_bytes", group("memory"))),
        "67108864"
    );
    assert_eq!(read(format!("{}/pids.max", group("pids"))), "50");
    assert_eq!(
        read(format!("{}/cgroup.procs", group("memory")))
            .lines()
            .next(),
        Some(pid.to_string().as_str())
    );
    assert!(!read(format!("{}/devices.list", group("devices"))).contains("a *:* rwm"));
    let inside = world.oci(&["exec", &id, "cat", "/proc/self/cgroup"]).ok();
    assert!(
        inside.stdout.contains("memory:/berth-limited") || inside.stdout.contains("memory:/\n"),
        "{}",
        inside.stdout
    );
    world
        .oci(&["exec", "-d", "--pid-file", "second", &id, "sleep", "99"])
        .ok();
    let second = read(world.home.join("second").display().to_string());
    assert!(
        read(format!("{}/cgroup.procs", group("memory")))
            .lines()
            .any(|line| line == second),
        "exec joins the group"
    );
    world.oci(&["delete", "-f", &id]).ok();
    assert!(!Path::new(&group("memory")).exists() && !Path::new(&group("pids")).exists());
}

#[test]
fn without_limits_a_container_stays_in_the_callers_group() {
    needs!(Images, Root);
    let world = World::of_root();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let before = if version_1() {
        names(Path::new("/sys/fs/cgroup/memory"))
    } else {
        Vec::new()
    };
    world.bundle("web", STAYS, |_| ());
    let pid = world.detached("web");
    assert_eq!(
        fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap(),
        own
    );
    world.oci(&["delete", "-f", "web"]).ok();
    if version_1() {
        let left: Vec<String> = names(Path::new("/sys/fs/cgroup/memory"))
            .into_iter()
            .filter(|name| name == "berth-web")
            .collect();
        assert!(left.is_empty() && !before.is_empty(), "{left:?}");
    }
}

#[test]
fn a_users_limits_that_do_not_hold_are_said() {
    needs!(Images, Userns);
    let world = World::of_user();
    world.bundle("b", "echo ran", |config| {
        config["linux"]["resources"] =
            json!({"memory": {"limit": 67108864}, "blockIO": {"weight": 10}});
    });
    let ran = world.oci(&["run", "-b", "b", "b"]).ok();
    assert_eq!(ran.text(), "ran");
    let said = "warning: linux.resources.blockIO not applied: berth does not set it here";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    if version_1() {
        assert!(
            ran.stderr
                .contains("warning: memory limit not applied: control groups are version 1"),
            "{}",
            ran.stderr
        );
    }
    until("nothing is left", || {
        names(&world.run_dir().join("oci")) == [":lock"]
    });
}
