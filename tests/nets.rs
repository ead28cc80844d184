//! Networks of containers: pasta, published ports, name servers and hosts.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::needs;
use crate::run::{busybox, run, sh};
use crate::support::user::Running;
use crate::support::{Home, images};

/// A port of loopback that was free just now.
fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// The processes of pasta that work for this home.
fn pastas(home: &Home) -> Vec<i32> {
    let place = home.path().to_str().unwrap().to_owned();
    let works_here = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with("pasta\0") && line.contains(&place)
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(works_here).collect()
}

/// What a server says to a question, asked until it answers.
fn ask(port: u16, question: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut said = String::new();
        let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(question.as_bytes())?;
            stream.read_to_string(&mut said)
        });
        if asked.is_ok() && !said.is_empty() {
            return said;
        }
        assert!(
            Instant::now() < deadline,
            "port {port} never answered: {asked:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends every container of this home, and the `run` that waits for one.
fn end(home: &Home, running: Running) {
    let ids = home.berth(["ps", "-q"]).ok().text().to_owned();
    let ids: Vec<&str> = ids.lines().collect();
    assert!(!ids.is_empty(), "nothing runs");
    home.berth([&["rm", "-f"][..], &ids].concat()).ok();
    running.wait();
}

const PAGE: &str = "GET /page HTTP/1.0\r\n\r\n";
const SERVE: &str = "echo served >/tmp/page; echo ready; exec httpd -f -p 80 -h /tmp";

#[test]
fn a_published_port_leads_into_the_container() {
    needs!(Images, Userns, Overlay, Pasta);
    let home = busybox();
    for ids in ["single", "range"] {
        if ids == "range" {
            needs!(Ranges);
        }
        let (one, other) = (free_port(), free_port());
        let (published, all) = (format!("127.0.0.1:{one}:80"), format!("{other}:80/tcp"));
        let args = [
            "--network",
            "pasta",
            "--ids",
            ids,
            "-p",
            &published,
            "-p",
            &all,
            "busybox",
            "sh",
            "-c",
            SERVE,
        ];
        let mut running = run(&home, &args).start();
        running.until_stdout("ready");
        for port in [one, other] {
            let said = ask(port, PAGE);
            assert!(said.ends_with("\r\n\r\nserved\n"), "{said}");
        }
        assert_eq!(pastas(&home).len(), 1);
        end(&home, running);
        // The kernel ends it with the supervisor, a moment later; its sockets go a moment after it.
        let deadline = Instant::now() + Duration::from_secs(30);
        while !pastas(&home).is_empty() {
            assert!(Instant::now() < deadline, "pasta ends with its container");
            std::thread::sleep(Duration::from_millis(20));
        }
        while TcpStream::connect(("127.0.0.1", one)).is_ok() {
            assert!(Instant::now() < deadline, "the port is still open");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn datagrams_are_published_too() {
    needs!(Images, Userns, Overlay, Pasta);
    let home = Home::new();
    let source = images::get("redis").source();
    home.berth(["pull", "--quiet", "--name", "perl", &source])
        .ok();
    let port = free_port();
    let published = format!("127.0.0.1:{port}:53/udp");
    let script = "use IO::Socket::INET; $| = 1; my $s = IO::Socket::INET->new(LocalPort => 53, Proto => 'udp') or die $!;
        print \"ready\\n\"; while ($s->recv(my $q, 100)) { print \"heard $q\\n\" }";
    let entrypoint = serde_json::json!(["perl", "-e", script]).to_string();
    let args = [
        "--network",
        "pasta",
        "-p",
        &published,
        "--entrypoint",
        &entrypoint,
        "perl",
    ];
    let mut running = run(&home, &args).start();
    running.until_stdout("ready");
    // Only the way in is asked for: with this machine's kernel the pasta of Debian 12 loses what comes back, also without
    // berth.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running.stdout().contains("heard you") {
        assert!(Instant::now() < deadline, "no datagram arrived");
        socket.send_to(b"you", ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    end(&home, running);
}

#[test]
fn what_is_not_published_cannot_be_reached() {
    needs!(Images, Userns, Overlay, Pasta);
    let home = busybox();
    // A service of the host's loopback, which the host's network shows and pasta does not.
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = service.local_addr().unwrap().port();
    // Whoever comes is sent away, for as long as the tests run.
    std::thread::spawn(move || service.incoming().for_each(drop));
    let script = format!(
        "for ip in 127.0.0.1 $(ip route | awk '/^default/ {{print $3}}'); do nc -w 3 $ip {port} </dev/null >/dev/null 2>&1 && echo reached $ip; done; true"
    );
    assert_eq!(
        sh(&home, &["--network", "host"], &script).lines().next(),
        Some("reached 127.0.0.1")
    );
    assert_eq!(sh(&home, &["--network", "pasta"], &script), "");
    let inside = free_port();
    let serve = format!("echo ready; exec httpd -f -p {inside} -h /tmp");
    let mut running = run(
        &home,
        &["--network", "pasta", "busybox", "sh", "-c", &serve],
    )
    .start();
    running.until_stdout("ready");
    assert!(TcpStream::connect(("127.0.0.1", inside)).is_err());
    end(&home, running);
    let names = sh(
        &home,
        &["--network", "pasta"],
        "ls /sys/class/net | wc -l; cat /sys/class/net/lo/flags",
    );
    assert_eq!(names.replace(' ', ""), "2\n0x9");
}

#[test]
fn pasta_goes_with_a_killed_supervisor() {
    needs!(Images, Userns, Overlay, Pasta);
    let home = busybox();
    let args = [
        "run",
        "--name",
        "web",
        "--network",
        "pasta",
        "busybox",
        "sh",
        "-c",
        "echo ready; sleep 1000",
    ];
    let mut running = home.berth(args).start();
    running.until_stdout("ready");
    assert_eq!(pastas(&home).len(), 1);
    running.signal(Signal::KILL);
    assert_eq!(running.wait().exit(), 137, "it was killed");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !pastas(&home).is_empty() {
        assert!(Instant::now() < deadline, "pasta lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
    home.berth(["rm", "-f", "web"]).ok();
}

#[test]
fn what_pasta_cannot_do_is_told() {
    needs!(Images, Userns, Overlay, Pasta);
    let home = busybox();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let published = format!("127.0.0.1:{port}:80");
    let ran = run(
        &home,
        &["--network", "pasta", "-p", &published, "busybox", "true"],
    )
    .fails(125);
    let ran = ran.err_has("this host cannot make a network for the container with pasta");
    ran.err_has("hint: pasta said: ");
    run(
        &home,
        &["--network", "pasta:--no-such-option", "busybox", "true"],
    )
    .fails(125)
    .err_has("hint: pasta said: ");
    assert!(pastas(&home).is_empty());
    run(&home, &["--network", "pasta", "busybox", "true"])
        .env("PATH", "/nowhere")
        .fails(125)
        .err_has("pasta is not on PATH")
        .err_has("hint: install the package passt, or use --network host or none");
}

#[test]
fn networks_and_ports_that_cannot_be_are_usage_errors() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for (flags, why) in [
        (
            ["--network", "none", "-p", "80"],
            "cannot publish ports: neither --network host nor none has ports of its own",
        ),
        (
            ["--network", "host", "-p", "80"],
            "hint: use --network pasta",
        ),
        (
            ["--network", "pasta", "-p", "80/sctp"],
            "protocol sctp is not supported: it is tcp or udp",
        ),
        (
            ["--network", "pasta", "-p", "1-3:1-2"],
            "the ranges have different lengths",
        ),
        (
            ["--network", "container:web", "--dns", "10.0.0.1"],
            "the network of another container is not supported",
        ),
        (
            ["--network", "bridge", "--dns", "10.0.0.1"],
            "a bridge takes real root; pasta is a network for users",
        ),
        (["--network", "none", "--dns", "one"], "--dns"),
    ] {
        run(&home, &[&flags[..], &["busybox", "true"]].concat())
            .fails(2)
            .err_has(why);
    }
    run(&home, &["--network", "none", "-P", "busybox", "true"]).fails(2);
    run(
        &home,
        &[
            "--network",
            "none",
            "--add-host",
            "gw:host-gateway",
            "busybox",
            "true",
        ],
    )
    .fails(125)
    .one_error()
    .err_has("the host has no address of its own in this network");
}

#[test]
fn name_servers_are_the_hosts_or_the_callers() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let read = |flags: &[&str]| sh(&home, flags, "cat /etc/resolv.conf");
    assert_eq!(read(&[]), host.trim_end());
    let said = read(&[
        "--dns",
        "10.9.8.7",
        "--dns",
        "fd00::53",
        "--dns-search",
        "example.org",
        "--dns-option",
        "ndots:1",
    ]);
    assert_eq!(
        said,
        "nameserver 10.9.8.7\nnameserver fd00::53\nsearch example.org\noptions ndots:1"
    );
    // No server but those: a public one that nobody named would tell strangers what is looked up.
    for network in ["host", "none"] {
        let said = read(&["--network", network]);
        for line in said.lines().filter(|line| line.starts_with("nameserver")) {
            assert!(host.contains(line), "{network}: {line}");
        }
    }
}

#[test]
fn hosts_are_added_and_mounts_of_the_callers_win() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let said = sh(
        &home,
        &[
            "--network",
            "none",
            "--hostname",
            "box",
            "--add-host",
            "db:10.0.0.7",
            "--add-host",
            "six=fd00::1",
        ],
        "cat /etc/hosts",
    );
    assert_eq!(
        said,
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb\nfd00::1\tsix\n127.0.1.1\tbox"
    );
    let said = sh(
        &home,
        &["--add-host", "here:host-gateway"],
        "grep here /etc/hosts",
    );
    assert_eq!(said, "127.0.0.1\there");
    assert_eq!(
        sh(
            &home,
            &["--no-hosts"],
            "grep -c ' /etc/hosts ' /proc/self/mounts; true"
        ),
        "0"
    );
    home.write("mine", "my own\n");
    for place in ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"] {
        let volume = format!("./mine:{place}");
        assert_eq!(
            sh(&home, &["-v", &volume], &format!("cat {place}")),
            "my own"
        );
    }
}

/// Where systemd-resolved runs, an image's `/etc/resolv.conf` is a link to where nothing is.
#[test]
fn a_link_into_nothing_gets_its_name_servers() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh(
        "mkdir -p tree/bin tree/etc && \"$BERTH\" --root \"$ROOT\" cat busybox /bin/busybox >tree/bin/busybox
         chmod 755 tree/bin/busybox && ln -s busybox tree/bin/cat
         ln -s ../run/systemd/resolve/stub-resolv.conf tree/etc/resolv.conf
         tar -C tree -cf rootfs.tar . && echo '{\"config\":{\"Env\":[\"PATH=/bin\"]}}' >config.json
         \"$BERTH\" --root \"$ROOT\" pull -q --name linked --config config.json rootfs-tar:rootfs.tar",
    )
    .ok();
    let ran = run(
        &home,
        &[
            "--dns",
            "10.9.8.7",
            "--dns-search",
            ".",
            "linked",
            "cat",
            "/etc/resolv.conf",
        ],
    )
    .ok();
    assert!(
        ran.text().lines().any(|line| line == "nameserver 10.9.8.7"),
        "{}",
        ran.stdout
    );
}

#[test]
fn exposed_ports_get_free_ports_of_the_host() {
    needs!(Images, Userns, Overlay, Pasta);
    let home = busybox();
    home.sh(
        "mkdir -p tree/bin && \"$BERTH\" --root \"$ROOT\" cat busybox /bin/busybox >tree/bin/busybox
         chmod 755 tree/bin/busybox && ln -s busybox tree/bin/sh && ln -s busybox tree/bin/httpd && mkdir tree/tmp
         tar -C tree -cf rootfs.tar . && echo '{\"config\":{\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}},\"Env\":[\"PATH=/bin\"]}}' >config.json
         \"$BERTH\" --root \"$ROOT\" pull -q --name exposing --config config.json rootfs-tar:rootfs.tar",
    )
    .ok();
    let mut running = run(
        &home,
        &["--network", "pasta", "-P", "exposing", "sh", "-c", SERVE],
    )
    .start();
    running.until_stdout("ready");
    let id = home
        .berth(["ps", "-q", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let record = home.root().join("containers").join(id).join("record.json");
    let record = crate::support::read_json(&record);
    let published = record["settings"]["net"]["publish"].as_array().unwrap();
    assert_eq!(published.len(), 2, "{published:?}");
    let tcp = published
        .iter()
        .find(|port| port["protocol"] == "tcp")
        .unwrap();
    assert_eq!(tcp["inside"], 80);
    let port = tcp["host"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok())
        .unwrap();
    assert!(ask(port, PAGE).ends_with("served\n"));
    end(&home, running);
}
