//! The test's own materials: images, registries, stock ostree. When one of these fails, look here
//! before blaming berth.

use std::collections::HashSet;

use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::ostree::Ostree;
use crate::support::registry::Registry;
use crate::support::{Home, User, images};

#[test]
fn redis_next_shares_no_layer_and_nginx_shares_one() {
    needs!(Images);
    let layers = |name| -> HashSet<String> {
        images::get(name)
            .layers
            .into_iter()
            .map(|layer| layer.digest)
            .collect()
    };
    let redis = layers("redis");
    assert!(redis.is_disjoint(&layers("redis-next")));
    assert_eq!(redis.intersection(&layers("nginx")).count(), 1);
}

#[test]
fn stock_ostree_takes_every_layer_that_it_can_hold() {
    needs!(Images, Ostree);
    let home = Home::new();
    let ostree = Ostree::init(&home, "stock");
    for layer in &images::get("redis-plain").layers {
        ostree.commit_tar("layer", &images::get("redis-plain").blob(&layer.digest));
        ostree.fsck();
    }
    assert!(
        ostree
            .ls("layer", "/usr/local/bin")
            .contains("docker-entrypoint.sh")
    );
}

#[test]
fn registries_keep_digests_and_note_requests() {
    needs!(Images, Registry, Skopeo);
    let home = Home::new();
    let registry = Registry::shared();
    for name in ["redis", "redis-zstd", "redis-v2s2", "multi", "nested"] {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json, \
             application/vnd.oci.image.index.v1+json, \
             application/vnd.docker.distribution.manifest.v2+json";
        let headers = registry.curl(
            &format!("/v2/{name}/manifests/latest"),
            &["-H", accept, "-o", "/dev/null", "-D", "-"],
        );
        assert!(
            headers.contains(&images::get(name).digest.unwrap()),
            "{name}: {headers}"
        );
    }
    let asked = "GET /v2/redis/manifests/latest 200";
    assert!(
        registry.requests().iter().any(|line| line == asked),
        "{:?}",
        registry.requests()
    );
    home.program("skopeo")
        .args([
            "inspect",
            "--raw",
            "--tls-verify=false",
            &registry.url("redis:latest"),
        ])
        .ok()
        .out_has(&images::get("redis").config);
}

#[test]
fn a_private_authority_is_needed_and_enough() {
    needs!(Registry, Skopeo);
    let home = Home::new();
    let registry = Registry::start_tls();
    let layout = home.join("layout");
    Layout::with(&layout, &Image::of(Tar::new().file("hello", "world")));
    registry.push_layout(&layout, "hello:1");
    let url = registry.url("hello:1");
    home.program("skopeo")
        .args(["inspect", &url])
        .fails(1)
        .err_has("certificate");
    home.program("cp")
        .args([registry.ca().as_os_str(), "ca.crt".as_ref()])
        .ok();
    home.program("skopeo")
        .args(["inspect", "--cert-dir", ".", &url])
        .ok();
}

#[test]
fn synthetic_images_are_what_others_take_for_images() {
    needs!(Skopeo, Ostree);
    let home = Home::new();
    let tar = Tar::new()
        .dir("etc")
        .pax(&[("path", "etc/a name in PAX")])
        .file("short", "pax")
        .gnu_long(b'L', &format!("etc/{}", "n".repeat(200)))
        .file("short", "gnu")
        .symlink("etc/link", "short")
        .file_with("etc/owned", 0o4640, 999, 998, "x")
        .hardlink("etc/hard", "etc/owned");
    let image = Image::new(Form::ALL.map(|form| Layer::new(tar.clone().finish(), form)));
    Layout::with(&home.join("layout"), &image);
    image.write_docker_archive(&home.join("save.tar"), &["small:1"]);
    home.program("skopeo")
        .args(["copy", "oci:layout:latest", "oci:copy:latest"])
        .ok();
    home.program("skopeo")
        .args(["copy", "docker-archive:save.tar", "oci:copy2:latest"])
        .ok();

    let ostree = Ostree::init(&home, "stock");
    ostree.commit_tar("small", &home.write("layer.tar", tar.finish()));
    let listing = ostree.ls("small", "/etc");
    assert!(listing.contains("/etc/a name in PAX"), "{listing}");
    assert!(listing.contains(&"n".repeat(200)), "{listing}");
    assert!(listing.contains("-04640 999 998"), "{listing}");
}

#[test]
fn the_ordinary_users_are_ordinary() {
    needs!(Root, Ranges, Userns, Overlay);
    let user = User::ordinary().unwrap();
    let ids = Home::of(user).program("id").args(["-u", "-G"]).run();
    assert_ne!(ids.text(), "0");
    let plain = Home::of(User::plain().unwrap());
    assert!(
        plain
            .program("unshare")
            .args(["-U", "--map-auto", "true"])
            .run()
            .exit()
            != 0
    );
    plain
        .program("grep")
        .args(["CapEff:\t0000000000000000", "/proc/self/status"])
        .ok();
}
