//! Every limit on a tar and on an image's documents: what is at it passes, one more does not.

mod tars;

use store::oci::{
    CONFIG_BYTES_MAX, Document, HISTORY_MAX, INDEX_ENTRIES_MAX, ImageConfig, LAYERS_MAX,
    MANIFEST_BYTES_MAX,
};
use store::{ImportedLayer, LayerLimits, LayerOrigin, import_layer};

fn import(tar: &[u8], limits: &LayerLimits) -> Result<ImportedLayer, String> {
    let store = tars::new_store();
    let tar = [tar, &[0; 1024]].concat();
    let origin = LayerOrigin {
        diff_id: None,
        blob: None,
    };
    import_layer(&store.repo, &mut &*tar, &origin, limits).map_err(|error| error.to_string())
}

/// The first tar is a layer; the second is refused, for this reason.
#[track_caller]
fn limit(fits: &[u8], over: &[u8], why: &str) {
    let limits = LayerLimits::default();
    import(fits, &limits).expect("at the limit");
    let error = import(over, &limits).expect_err("one past it");
    assert!(error.ends_with(why), "{error}");
}

fn file(name: &str) -> Vec<u8> {
    tars::raw(name.as_bytes(), b'0', b"", b"")
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (1..)
        .map(|digits| rest + digits)
        .find(|length| length.to_string().len() + rest == *length)
        .expect("a length");
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn pax(records: &[Vec<u8>]) -> Vec<u8> {
    tars::raw(b"pax", b'x', b"", &records.concat())
}

/// A file of this path, which may be longer than a header has room for.
fn path(path: &str) -> Vec<u8> {
    [pax(&[record("path", path.as_bytes())]), file("x")].concat()
}

#[test]
fn paths_names_and_depth() {
    limit(
        &path(&"n".repeat(255)),
        &path(&"n".repeat(256)),
        "it has a name longer than 255 bytes",
    );
    let long = |last: usize| {
        format!(
            "./{}{}",
            format!("{}/", "n".repeat(255)).repeat(15),
            "m".repeat(last)
        )
    };
    assert_eq!(long(254).len(), 4096);
    limit(
        &path(&long(254)),
        &path(&long(255)),
        "its path is longer than 4096 bytes",
    );
    let deep = |directories: usize| format!("{}f", "d/".repeat(directories));
    limit(
        &path(&deep(255)),
        &path(&deep(256)),
        "it lies deeper than 256 directories",
    );
}

#[test]
fn all_paths_together() {
    let limits = LayerLimits {
        path_bytes_max: 30,
        ..LayerLimits::default()
    };
    let two = |link: &[u8]| {
        [
            tars::raw(&[b'a'; 10], b'0', b"", b""),
            tars::raw(&[b'b'; 10], b'2', link, b""),
        ]
        .concat()
    };
    import(&two(&[b'c'; 10]), &limits).expect("at the limit");
    let error = import(&two(&[b'c'; 11]), &limits).expect_err("one past it");
    assert_eq!(error, "layer is too large: the limit is 30 bytes of paths");
}

#[test]
fn symbolic_links() {
    let link = |size: usize| {
        let target = record("linkpath", &vec![b't'; size]);
        [pax(&[target]), tars::raw(b"l", b'2', b"", b"")].concat()
    };
    limit(
        &link(4095),
        &link(4096),
        "its target is empty, too long or holds a NUL",
    );
    let chain = |links: usize| {
        let mut tar = Vec::new();
        for number in 0..links {
            let (name, next) = (format!("l{number}"), format!("l{}", number + 1));
            tar.extend(tars::raw(name.as_bytes(), b'2', next.as_bytes(), b""));
        }
        tar.extend(file("l0/x"));
        tar
    };
    limit(
        &chain(40),
        &chain(41),
        "there are too many symbolic links on its way",
    );
}

#[test]
fn extended_headers() {
    let comment = |size: usize| {
        let digits = size.to_string().len();
        let value = vec![b'c'; size - digits - " comment=\n".len()];
        let record = record("comment", &value);
        assert_eq!(record.len(), size);
        [pax(&[record]), file("x")].concat()
    };
    limit(
        &comment(1 << 20),
        &comment((1 << 20) + 1),
        "an extended header is over 1048576 bytes",
    );
    for form in ["SCHILY.xattr.user", "LIBARCHIVE.xattr.user"] {
        let xattrs = |count: usize| {
            let record = |number| record(&format!("{form}.{number}"), b"");
            let records: Vec<Vec<u8>> = (0..count).map(record).collect();
            [pax(&records), file("x")].concat()
        };
        limit(
            &xattrs(1024),
            &xattrs(1025),
            "an extended header has over 1024 extended attributes",
        );
    }
}

#[test]
fn segments_of_sparse_files() {
    let number = |key: &str, number: usize| record(key, number.to_string().as_bytes());
    let in_data = |segments: usize| {
        let mut map = format!("{segments}\n{}", "0\n0\n".repeat(segments)).into_bytes();
        map.resize(map.len().next_multiple_of(512), 0);
        let header = pax(&[
            number("GNU.sparse.major", 1),
            number("GNU.sparse.minor", 0),
            number("GNU.sparse.realsize", 7),
        ]);
        [header, tars::raw(b"s", b'0', b"", &map)].concat()
    };
    limit(
        &in_data(1 << 16),
        &in_data((1 << 16) + 1),
        "a sparse entry has too many segments",
    );
    let in_header = |segments: usize| {
        let map = vec!["0,0"; segments].join(",");
        let header = pax(&[
            number("GNU.sparse.size", 7),
            record("GNU.sparse.map", map.as_bytes()),
        ]);
        [header, file("s")].concat()
    };
    limit(
        &in_header(1 << 16),
        &in_header((1 << 16) + 1),
        "a sparse entry has a wrong map",
    );
    limit(
        &old_sparse(1 << 16),
        &old_sparse((1 << 16) + 1),
        "a sparse entry has too many segments",
    );
}

/// An old GNU sparse file with this many empty segments: four in the header, 21 in each block behind it.
fn old_sparse(segments: usize) -> Vec<u8> {
    let segment = b"00000000000\x0000000000000\0";
    let mut header = tars::raw(b"s", b'S', b"", b"");
    header[257..265].copy_from_slice(b"ustar  \0");
    header[345..].fill(0);
    for slot in header[386..482].chunks_exact_mut(24) {
        slot.copy_from_slice(segment);
    }
    header[482] = 1;
    header[483..494].copy_from_slice(b"00000000007");
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut left = segments - 4;
    while left > 0 {
        let here = left.min(21);
        left -= here;
        let mut block = segment.repeat(here);
        block.resize(512, 0);
        block[504] = u8::from(left > 0);
        header.extend(block);
    }
    header
}

#[test]
fn entries_that_ostree_cannot_hold() {
    let pipes = |count: usize| -> Vec<u8> {
        let pipe = |number: usize| tars::raw(format!("p{number}").as_bytes(), b'6', b"", b"");
        (0..count).flat_map(pipe).collect()
    };
    limit(
        &pipes(10_000),
        &pipes(10_001),
        "the limit is 10000 entries that OSTree cannot hold",
    );
}

const DESCRIPTOR: &str = r#"{"digest":"sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d","size":3}"#;

fn list(item: &str, count: usize) -> String {
    vec![item; count].join(",")
}

#[track_caller]
fn document(fits: String, over: String, why: &str) {
    Document::parse(fits.into_bytes(), "").expect("at the limit");
    let error = Document::parse(over.into_bytes(), "").expect_err("one past it");
    assert_eq!(
        error.to_string(),
        format!("manifest is too large: the limit is {why}")
    );
}

#[test]
fn manifests_and_indexes() {
    let manifest = |layers| {
        let layers = list(DESCRIPTOR, layers);
        format!(r#"{{"schemaVersion":2,"config":{DESCRIPTOR},"layers":[{layers}]}}"#)
    };
    document(
        manifest(LAYERS_MAX),
        manifest(LAYERS_MAX + 1),
        "1024 layers",
    );
    let padded = |size: u64| {
        let manifest = manifest(1);
        let blanks = " ".repeat(usize::try_from(size).expect("small") - manifest.len());
        manifest + &blanks
    };
    document(
        padded(MANIFEST_BYTES_MAX),
        padded(MANIFEST_BYTES_MAX + 1),
        "4194304 bytes",
    );
    let index = |entries| {
        let entries = list(DESCRIPTOR, entries);
        format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#)
    };
    document(
        index(INDEX_ENTRIES_MAX),
        index(INDEX_ENTRIES_MAX + 1),
        "4096 entries",
    );
}

#[test]
fn configs() {
    let config = |layers, steps| {
        let id = r#""sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d""#;
        let (ids, history) = (list(id, layers), list("{}", steps));
        format!(r#"{{"rootfs":{{"diff_ids":[{ids}]}},"history":[{history}]}}"#)
    };
    ImageConfig::parse(config(LAYERS_MAX, HISTORY_MAX).into_bytes()).expect("at the limits");
    for over in [config(LAYERS_MAX + 1, 0), config(0, HISTORY_MAX + 1)] {
        let error = ImageConfig::parse(over.into_bytes()).expect_err("one past it");
        let text = error.to_string();
        assert!(
            text.ends_with(" is too large: the limit is 1024 layers, 4096 steps"),
            "{text}"
        );
    }
    let mut raw = config(1, 1).into_bytes();
    raw.resize(usize::try_from(CONFIG_BYTES_MAX).expect("small"), b' ');
    ImageConfig::parse(raw.clone()).expect("at the limit");
    raw.push(b' ');
    assert_eq!(
        ImageConfig::parse(raw)
            .expect_err("one past it")
            .to_string(),
        "image config is too large: the limit is 4194304 bytes"
    );
}
