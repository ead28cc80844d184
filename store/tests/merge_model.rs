//! Merging against a model: a map from path to thing, to which layers are applied one entry at a time, as a program
//! that unpacks them would.

mod model;
mod tars;

use model::{Step, Wrong, flatten, merged, stored};
use proptest::prelude::*;
use store::{ObjectKind, Repo};

/// Few names, so that entries meet.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]", 1..4).prop_map(|names| names.join("/"))
}

/// Where links are: `l` and `m` in the root, `n` in directories.
fn link() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("l".to_owned()),
        1 => Just("m".to_owned()),
        1 => "[abc]".prop_map(|dir| format!("{dir}/n")),
    ]
}

fn target() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "/", ".", "..", "m", "l", "../m", "/a/n", "a/../b", "no/such",
    ]);
    prop_oneof![4 => path(), 2 => path().prop_map(|path| format!("/{path}")), 1 => odd.prop_map(str::to_owned)]
}

/// A path that goes through a link, if one is there.
fn behind() -> impl Strategy<Value = String> {
    (link(), "x|x/[ab]").prop_map(|(link, rest)| {
        let name = link.replace('/', "_");
        format!("{link}/{name}{rest}")
    })
}

fn mode() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0o700, 0o1777, 0o555])
}

fn step() -> impl Strategy<Value = Step> {
    let any_path = || prop_oneof![4 => path(), 1 => link(), 1 => behind()];
    prop_oneof![
        4 => (any_path(), mode()).prop_map(|(path, mode)| Step::Dir(path, mode)),
        1 => mode().prop_map(|mode| Step::Dir(String::new(), mode)),
        6 => (any_path(), any::<u8>()).prop_map(|(path, byte)| Step::File(path, byte)),
        3 => (link(), target()).prop_map(|(path, target)| Step::Link(path, target)),
        1 => (path(), path()).prop_map(|(path, target)| Step::Link(path, target)),
        1 => (path(), any_path()).prop_map(|(path, target)| Step::Hard(path, target)),
        3 => any_path().prop_map(Step::Whiteout),
        2 => path().prop_map(Step::Opaque),
    ]
}

/// More inputs than these are the fuzz target's.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

thread_local! {
    static STORE: tars::Store = tars::new_store();
}

fn check(repo: &Repo, layers: &[Vec<Step>]) -> Result<(), TestCaseError> {
    match (merged(layers), stored(repo, layers)) {
        (Ok(model), Ok(image)) => {
            prop_assert_eq!(flatten(repo, image.root), model);
            prop_assert!(repo.has(ObjectKind::Commit, &image.flat).expect("stat"));
        }
        (Err(Wrong::Ambiguous), _) => return Err(TestCaseError::reject("ambiguous")),
        (Err(_), Err(error)) => prop_assert!(error.to_string().contains("malformed"), "{}", error),
        (Ok(_), Err(error)) => prop_assert!(false, "refused: {error}"),
        (Err(_), Ok(image)) => prop_assert!(false, "not refused: {:?}", flatten(repo, image.root)),
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn merging_is_what_unpacking_would_be(layers in prop::collection::vec(prop::collection::vec(step(), 0..10), 1..5)) {
        STORE.with(|store| check(&store.repo, &layers))?;
    }
}

#[test]
fn limits_are_those_of_the_caller() {
    // The helpers above import with default limits; this pins that they are generous enough for real images.
    let limits = store::LayerLimits::default();
    assert!(limits.entries_max >= 1_000_000 && limits.file_bytes_max >= 16 << 30);
}
