//! `port`.

use std::net::TcpListener;

use crate::life::{World, berth};
use crate::needs;

/// Ports of loopback that were free just now.
fn free_ports<const N: usize>() -> [u16; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

#[test]
fn published_ports_are_told() {
    needs!(Images, Userns, Overlay, Pasta);
    let world = World::new();
    let [web, more, names] = free_ports();
    let publish = format!(
        "run -d --name web --network pasta -p 127.0.0.1:{web}:80 -p {more}:80 -p {names}:53/udp busybox sleep 1000"
    );
    berth(&world, &publish).ok();
    berth(&world, "run -d --name none busybox sleep 1000").ok();
    let id = world.id("web")[..12].to_owned();
    let all = [
        format!("80/tcp -> 127.0.0.1:{web}"),
        format!("80/tcp -> 0.0.0.0:{more}"),
        format!("53/udp -> 0.0.0.0:{names}"),
    ];
    let said = |line: &str| -> Vec<String> {
        let said = berth(&world, line).ok().stdout;
        said.lines().map(ToOwned::to_owned).collect()
    };
    assert_eq!(said("port web"), all);
    assert_eq!(said(&format!("port {id}")), all);
    assert_eq!(said("port none"), [] as [&str; 0]);
    let with_id = all.clone().map(|line| format!("{id}\t{line}"));
    assert_eq!(said("port --all"), with_id);
    let places = [format!("127.0.0.1:{web}"), format!("0.0.0.0:{more}")];
    assert_eq!(said("port web 80"), places);
    assert_eq!(said("port web 80/tcp"), places);
    assert_eq!(said("port web 53/udp"), [format!("0.0.0.0:{names}")]);
    for (line, code, error) in [
        (
            "port web 53",
            1,
            "cannot find port 53/tcp: container web does not publish it",
        ),
        (
            "port none 80",
            1,
            "cannot find port 80/tcp: container none does not publish it",
        ),
        ("port web http", 2, "cannot use port http: it is no number"),
        ("port nobody", 1, "container nobody not found"),
    ] {
        let ran = berth(&world, line).fails(code).one_error();
        assert_eq!(ran.stderr, format!("error: {error}\n"), "{line}");
    }
    berth(&world, "port").fails(2);
    berth(&world, "port --all web").fails(2);
    // Of one that has ended, only its own row is told.
    berth(&world, "kill web").ok();
    berth(&world, "wait web").ok();
    assert_eq!(said("port --all"), [] as [&str; 0]);
}
