//! Layers with a table of contents: only what the store lacks is served, and the layer is what it should be; whatever is
//! wrong with the table or the ranges, it is fetched whole instead.

mod server;

use serde_json::Value;

use self::server::{Ranges, Server};
use crate::needs;
use crate::support::image::{Form, Header, Image, Layer, Layout, OCI_MANIFEST, Tar};
use crate::support::ostree::Ostree;
use crate::support::parts::{Parts, estargz, honest, zstd_chunked, zstd_estargz};
use crate::support::registry::Registry;
use crate::support::{Home, digest, images};

/// Bytes that do not compress, of one kind for each seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// What is here before: three large files and a small one.
fn old() -> Tar {
    Tar::new()
        .dir("lib")
        .file("lib/big", noise(1, 2_500_000))
        .file("lib/one", noise(2, 300_000))
        .file("lib/two", noise(3, 300_000))
        .file("lib/small", noise(7, 1_000))
}

/// A file whose owner has a name, as a tar has it.
fn named(name: &str, data: &[u8]) -> Vec<u8> {
    let header = Header {
        name: name.into(),
        uid: 500,
        size: data.len() as u64,
        ..Header::default()
    };
    let mut block = header.block();
    block[265..268].copy_from_slice(b"joe");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = [&block[..], data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// What comes: the same files under other names and owners, with new ones between.
fn new() -> Vec<u8> {
    Tar::new()
        .dir("etc")
        .symlink("etc/link", "new")
        .file("etc/new", noise(4, 40_000))
        .dir("lib")
        .file_with("lib/large", 0o755, 7, 8, noise(1, 2_500_000))
        .file("lib/empty", b"")
        .file("lib/one", noise(2, 300_000))
        .hardlink("lib/hard", "lib/one")
        .file("lib/two", noise(3, 300_000))
        .raw(&named("lib/small", &noise(7, 1_000)))
        .raw(&named("lib/smaller", &noise(8, 500)))
        .pax(&[("SCHILY.xattr.user.some", "")])
        .file("lib/xattr", noise(5, 5_000))
        .file("lib/last", noise(6, 5_000))
        .finish()
}

/// A home that has [`old`].
fn home() -> Home {
    let home = Home::new();
    Layout::with(&home.join("old"), &Image::of(old()));
    home.berth(["pull", "-q", &format!("oci:{}", home.join("old").display())])
        .ok();
    home
}

/// Pulls what a server has, and checks everything that can be checked of it. Returns what was said.
#[track_caller]
fn pull(home: &Home, server: &Server) -> String {
    let ran = home.berth(["pull", &server.double.url()]).ok();
    let name = format!("{}/app", server.double.host());
    let shown = home.berth(["inspect", &name]).ok().json();
    assert_eq!(
        shown["id"],
        digest(&server.image.config_bytes()),
        "the image id"
    );
    home.berth(["verify", &name]).ok();
    home.berth(["repo", "fsck"]).ok();
    let lines = ran.stderr.lines();
    let whole = lines.filter(|line| line.contains("fetched whole"));
    whole.collect::<Vec<_>>().join("\n")
}

/// Which refs of the store name the layer by its diff id, and which by its blob.
fn refs(home: &Home, layer: &Layer) -> (bool, bool) {
    let has = |name: String| home.repo().join("refs/heads").join(name).exists();
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    (
        has(format!("ocilayer/{}", hex(&layer.diff_id))),
        has(format!("ociimage/{}", hex(&layer.digest))),
    )
}

/// All forms of a tar.
fn forms(tar: &[u8]) -> [(&'static str, Parts); 4] {
    [
        ("zstd:chunked", zstd_chunked(tar, true, &honest)),
        ("old zstd:chunked", zstd_chunked(tar, false, &honest)),
        ("eStargz", estargz(tar, &honest)),
        ("zstd:chunked by eStargz", zstd_estargz(tar)),
    ]
}

#[test]
fn only_what_the_store_lacks_is_served() {
    for (form, parts) in forms(&new()) {
        let home = home();
        let server = Server::new(&[parts], Ranges::Good);
        assert_eq!(pull(&home, &server), "", "{form}");
        let served = server.served();
        assert!(served < 60_000, "{form}: {served} of {}", server.size());
        assert!(served > 50_500, "{form}: {served}, and 50500 are new");
        assert_eq!(server.wholes(), 0, "{form}");
        let refs = refs(&home, &server.image.layers[0]);
        assert_eq!(refs, (true, false), "{form}: nobody saw the blob");
    }
}

#[test]
fn they_are_ordinary_layers_where_nothing_is_here() {
    for (form, parts) in forms(&new()) {
        let home = Home::new();
        let server = Server::new(&[parts], Ranges::Good);
        assert_eq!(pull(&home, &server), "", "{form}");
        assert_eq!(server.served(), server.size(), "{form}: once, and no table");
        let refs = refs(&home, &server.image.layers[0]);
        assert_eq!(refs, (true, true), "{form}: the blob was proved");
    }
}

#[test]
fn where_little_is_saved_the_layer_is_fetched_whole() {
    let home = home();
    let tar = Tar::new().file("etc/new", noise(9, 3_000_000));
    let tar = tar.file("lib/one", noise(2, 300_000)).finish();
    let parts = zstd_chunked(&tar, true, &honest);
    let server = Server::new(&[parts], Ranges::Good);
    assert_eq!(pull(&home, &server), "");
    assert_eq!(server.wholes(), 1);
    assert!(server.served() < server.size() + 2_000, "and the table");
}

#[test]
fn a_server_with_single_ranges_is_asked_for_those() {
    for (form, parts) in forms(&new()) {
        let home = home();
        let server = Server::new(&[parts], Ranges::Single);
        assert_eq!(pull(&home, &server), "", "{form}");
        assert_eq!(server.wholes(), 0, "{form}");
        let ranges = server.double.asked("/blobs/").into_iter();
        let ranges = ranges.filter_map(|it| it.header("range").map(str::to_owned));
        let several = ranges.filter(|it| it.contains(',')).count();
        assert_eq!(several, 1, "{form}: one try");
    }
}

#[test]
fn broken_answers_are_taken_up_again() {
    for (form, parts) in forms(&new()) {
        let home = home();
        let server = Server::new(&[parts], Ranges::Cut(2));
        assert_eq!(pull(&home, &server), "", "{form}");
        assert_eq!(server.wholes(), 0, "{form}");
        assert!(server.served() < 100_000, "{form}: {}", server.served());
    }
}

/// As long as enough comes between, an answer may break off any number of times.
#[test]
fn what_goes_on_is_not_given_up() {
    let home = home();
    let tar = Tar::new().file("lib/big", noise(1, 2_500_000));
    let tar = tar.file("etc/new", noise(10, 11 << 20)).finish();
    let parts = zstd_chunked(&tar, true, &honest);
    let server = Server::new(&[parts], Ranges::Short((1 << 20) + 10_000));
    assert_eq!(pull(&home, &server), "");
    assert_eq!(server.wholes(), 0);
    let asked = server.double.asked("/blobs/").into_iter();
    let ranges = asked.filter(|it| it.header("range").is_some()).count();
    assert!(ranges > 9, "{ranges} answers");
}

/// Pulls over a server whose ranges are no good; the layer is fetched whole, once, with this reason.
#[track_caller]
fn is_fetched_whole(parts: Parts, ranges: Ranges, why: &str) {
    let home = home();
    let server = Server::new(&[parts], ranges);
    let said = pull(&home, &server);
    let layer = &server.image.layers[0];
    let start = format!("warning: layer {} is fetched whole: ", layer.digest);
    let reason = said
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{said}"));
    let why = why
        .replace("LAYER", &format!("layer {}", layer.digest))
        .replace("HOST", &server.double.host());
    assert!(reason.contains(&why), "{reason}\nnot: {why}");
    assert_eq!(server.wholes(), 1);
    assert_eq!(refs(&home, layer), (true, true));
    Ostree::of(&home).fsck();
}

#[test]
fn bad_servers_are_asked_for_the_whole_layer() {
    needs!(Ostree);
    let parts = || zstd_chunked(&new(), true, &honest);
    let never = "cannot use registry HOST without ranges: not supported";
    is_fetched_whole(parts(), Ranges::Never, never);
    is_fetched_whole(
        parts(),
        Ranges::Wrong(0),
        "digest of its table of contents does not match",
    );
    is_fetched_whole(
        parts(),
        Ranges::Wrong(1),
        "a range is not compressed as the layer is",
    );
    let shifted = "HOST answered in a way that cannot be followed: it sent another range than the one asked for";
    is_fetched_whole(parts(), Ranges::Shifted, shifted);
    is_fetched_whole(parts(), Ranges::Cut(100), "cannot read parts of blob");
}

/// The entry of this name.
fn entry<'t>(toc: &'t mut [Value], name: &str) -> &'t mut Value {
    toc.iter_mut().find(|it| it["name"] == name).unwrap()
}

#[test]
fn tables_that_lie_are_found_out() {
    needs!(Ostree);
    let chunked = |lie: &dyn Fn(&mut Vec<Value>)| zstd_chunked(&new(), true, lie);
    let mismatch = "diff id of layer";
    let order = "its table of contents leads out of order or out of the layer";
    // the digest of another file that is here, of the same size
    let other = |toc: &mut Vec<Value>| {
        entry(toc, "lib/one")["digest"] = digest(&noise(3, 300_000)).into();
    };
    is_fetched_whole(chunked(&other), Ranges::Good, mismatch);
    is_fetched_whole(zstd_chunked(&new(), false, &other), Ranges::Good, mismatch);
    is_fetched_whole(estargz(&new(), &other), Ranges::Good, mismatch);
    let beyond = |toc: &mut Vec<Value>| entry(toc, "lib/two")["endOffset"] = (1_u64 << 62).into();
    is_fetched_whole(chunked(&beyond), Ranges::Good, order);
    let overlap = |toc: &mut Vec<Value>| entry(toc, "lib/two")["offset"] = 5.into();
    is_fetched_whole(chunked(&overlap), Ranges::Good, order);
    let inside = |toc: &mut Vec<Value>| {
        let at = entry(toc, "lib/two")["offset"].as_u64().unwrap();
        entry(toc, "lib/two")["offset"] = (at + 1).into();
    };
    is_fetched_whole(
        zstd_chunked(&new(), false, &inside),
        Ranges::Good,
        "cannot read layer",
    );
    let negative = |toc: &mut Vec<Value>| entry(toc, "lib/two")["size"] = (-1).into();
    is_fetched_whole(
        chunked(&negative),
        Ranges::Good,
        "its table of contents is malformed",
    );
    let swapped = |toc: &mut Vec<Value>| {
        let at = entry(toc, "lib/one")["offset"].clone();
        entry(toc, "lib/two")["offset"] = at;
    };
    let order = "its table of contents has chunks out of order";
    is_fetched_whole(estargz(&new(), &swapped), Ranges::Good, order);
    let owner = |toc: &mut Vec<Value>| entry(toc, "lib/one")["userName"] = "n".repeat(33).into();
    let long = "its table of contents has an owner's name over 32 bytes";
    is_fetched_whole(estargz(&new(), &owner), Ranges::Good, long);
    let time = |toc: &mut Vec<Value>| entry(toc, "lib/hard")["modtime"] = "".into();
    is_fetched_whole(estargz(&new(), &time), Ranges::Good, mismatch);
}

#[test]
fn annotations_that_lie_are_found_out() {
    needs!(Ostree);
    let with = |mut parts: Parts, key: &str, value: &str| {
        parts.annotations[key] = value.into();
        parts
    };
    let chunked = || zstd_chunked(&new(), true, &honest);
    let prefix = "io.github.containers.zstd-chunked.";
    let wrong = format!("sha256:{:064}", 7);
    let mismatch = "digest of its table of contents does not match: expected sha256:000";
    let checksum = with(chunked(), &format!("{prefix}manifest-checksum"), &wrong);
    is_fetched_whole(checksum, Ranges::Good, mismatch);
    let toc = "containerd.io/snapshot/stargz/toc.digest";
    is_fetched_whole(
        with(estargz(&new(), &honest), toc, &wrong),
        Ranges::Good,
        mismatch,
    );
    for place in [
        "",
        "1:2:3",
        "0:10:10:1",
        "8:18446744073709551615:1:1",
        "10:10:10:2",
    ] {
        let parts = with(chunked(), &format!("{prefix}manifest-position"), place);
        let why = "the annotation with the place of its table of contents is malformed";
        is_fetched_whole(parts, Ranges::Good, why);
    }
}

/// The layers of redis-next, written anew.
fn next(write: &dyn Fn(&[u8]) -> Parts) -> Vec<Parts> {
    let built = images::get("redis-next");
    let layers = built.layers.iter().map(|layer| {
        let blob = std::fs::read(built.blob(&layer.digest)).unwrap();
        let mut tar = Vec::new();
        let mut gzip = flate2::read::GzDecoder::new(&blob[..]);
        std::io::Read::read_to_end(&mut gzip, &mut tar).unwrap();
        write(&tar)
    });
    layers.collect()
}

/// A home that has redis, with what the next one may be served of, in thousandths of its size.
#[track_caller]
fn is_mostly_here(layers: &[Parts], most: usize) {
    let home = Home::new();
    home.berth(["pull", "-q", &images::get("redis").source()])
        .ok();
    let server = Server::new(layers, Ranges::Good);
    assert_eq!(pull(&home, &server), "");
    let (served, size) = (server.served(), server.size());
    let found = served * 1000 / size;
    assert!(found <= most, "{found} thousandths: {served} of {size}");
    Ostree::of(&home).fsck();
}

#[test]
fn a_real_image_costs_what_changed_as_zstd_chunked() {
    needs!(Images, Ostree);
    is_mostly_here(&next(&|tar| zstd_chunked(tar, true, &honest)), 80);
}

#[test]
fn a_real_image_costs_what_changed_as_old_zstd_chunked() {
    needs!(Images, Ostree);
    is_mostly_here(&next(&|tar| zstd_chunked(tar, false, &honest)), 95);
}

#[test]
fn a_real_image_costs_what_changed_as_estargz() {
    needs!(Images, Ostree);
    is_mostly_here(&next(&|tar| estargz(tar, &honest)), 105);
}

/// skopeo is the writer, and a real registry gives the ranges.
#[test]
fn what_skopeo_writes_is_fetched_in_parts() {
    needs!(Registry, Skopeo, Ostree);
    let (home, registry) = (home(), Registry::start());
    let image = Image::new([Layer::new(new(), Form::Gzip)]);
    Layout::with(&home.join("new"), &image);
    let to = registry.url("app:next");
    let skopeo = || {
        let skopeo = home.program("skopeo").args(["copy"]);
        skopeo.env("XDG_RUNTIME_DIR", home.path())
    };
    let format = ["--dest-compress-format", "zstd:chunked"];
    let place = ["--dest-tls-verify=false", "oci:new:latest", &to];
    skopeo().args(format).args(place).ok();
    let ran = home.berth(["pull", &to]).ok();
    assert!(!ran.stderr.contains("fetched whole"), "{}", ran.stderr);
    let name = format!("{}/app:next", registry.host());
    let shown = home.berth(["inspect", &name]).ok().json();
    assert_eq!(shown["id"], digest(&image.config_bytes()));
    home.berth(["verify", &name]).ok();
    Ostree::of(&home).fsck();
    let manifest = registry.curl(
        "/v2/app/manifests/next",
        &["-H", &format!("Accept: {OCI_MANIFEST}")],
    );
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let asked = format!("GET /v2/app/blobs/{layer}");
    let requests = registry.requests();
    let of_layer = requests.iter().filter(|line| line.starts_with(&asked));
    let ends: Vec<_> = of_layer
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(ends, ["206", "206"], "the table, and all ranges at once");
}
