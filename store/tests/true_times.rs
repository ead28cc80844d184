//! A checkout with the times that the image's tars have.

mod tars;

use store::{CheckoutOptions, checkout, restore_times};
use tars::{new_store, pax, raw};

#[test]
fn a_checkout_gets_the_times_of_the_image() {
    use std::os::unix::fs::MetadataExt as _;
    let store = new_store();
    let body = &[b'x'; 5000];
    let tar = [
        pax(&[("mtime", b"12.5")]),
        raw(b"./dir/", b'5', b"", b""),
        raw(b"dir/file", b'0', b"", body),
        raw(b"bad\xff", b'0', b"", b"bad"),
        pax(&[("mtime", b"99")]),
        raw(b"dir/same", b'0', b"", body),
        pax(&[("mtime", b"-3")]),
        raw(b"dir/link", b'2', b"file", b""),
        vec![0; 1024],
    ]
    .concat();
    let image = tars::image(&store.repo, &[tar]);
    let out = store.repo.path().with_file_name("out");
    let options = CheckoutOptions::default();
    checkout(&store.repo, image.root, &out, &options).expect("checkout");
    let report = restore_times(&store.repo, &image, &out).expect("times");
    assert_eq!((report.set, report.copied), (2, 1), "{report:?}");
    let time = |path: &str| {
        let stat = out.join(path).symlink_metadata().expect(path);
        (stat.mtime(), stat.mtime_nsec(), stat.nlink())
    };
    assert_eq!(time("dir/file"), (3, 0, 2), "still the object");
    assert_eq!(time("dir/same"), (99, 0, 1), "a file of its own");
    assert_eq!(std::fs::read(out.join("dir/same")).expect("bytes"), body);
    assert_eq!(time("dir/link"), (-3, 0, 1));
    let (secs, nanos, _) = time("dir");
    assert_eq!((secs, nanos), (12, 500_000_000));
}
