//! What `repair` finds.

use runtime::service::repair;

use crate::setup::{ONE, Setup, TWO, quiet, web};

#[test]
fn deployments_without_a_service_go_with_their_pins() {
    let setup = Setup::running(ONE);
    setup.update(&mut quiet(), TWO).expect("updated");
    std::fs::remove_file(setup.places.link(&web())).expect("removed");
    let done = setup.world(&mut quiet(), repair).expect("repaired");
    let mut orphans = done.orphans;
    orphans.sort();
    assert_eq!(
        orphans,
        [setup.places.slot(&web(), 0), setup.places.slot(&web(), 1)]
    );
    let left = std::fs::read_dir(setup.dir.join("repo/refs/heads/berth/used"));
    assert_eq!(left.expect("read").count(), 0);
    let done = setup.world(&mut quiet(), repair).expect("repaired");
    assert_eq!((done.orphans.len(), done.recovered.len()), (0, 0));
}

#[test]
fn what_was_staged_and_never_decided_goes_with_its_pin() {
    let setup = Setup::running(ONE);
    let image = store::find_image(&setup.repo, TWO).expect("an image");
    let id = "0".repeat(64);
    store::pin(&setup.repo, &id, &image, store::Durability::Lasting).expect("pinned");
    let staged = setup
        .dir
        .join("checkouts/.berth/staging")
        .join(format!("web.{id}"));
    std::fs::create_dir_all(staged.join("rootfs/usr")).expect("made");
    let before = setup.current();
    setup.world(&mut quiet(), repair).expect("repaired");
    assert_eq!(setup.leftovers(), Vec::<String>::new());
    assert!(
        !setup
            .dir
            .join("repo/refs/heads/berth/used")
            .join(&id)
            .exists()
    );
    assert_eq!(setup.current(), before);
}
