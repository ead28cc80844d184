//! The operations under test, on a small repository: what each starts from, does, and must end with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use store::fault::Step;
use store::{
    Broken, CheckoutMode, CheckoutOptions, CommitOptions, DiffId, FsckOptions, GcOptions, Image,
    ImageName, LockKind, LockWait, Mode, Owner, RefName, Repo, UntagOptions, VerifyOptions,
    checkout, commit_dir, fsck, gc, is_whole, known_layer, mend_image, named_image,
    shared_checkout, untag, verify,
};

use crate::tars::Item::{self, Dir, File, Hard, Link};
use crate::tars::{self, tar_of};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Pull,
    Commit,
    Checkout,
    Untag,
    Gc,
    Repair,
}

pub(crate) const ALL: [Work; 6] = [
    Work::Pull,
    Work::Commit,
    Work::Checkout,
    Work::Untag,
    Work::Gc,
    Work::Repair,
];

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Commit => "commit",
            Self::Checkout => "checkout",
            Self::Untag => "rmi",
            Self::Gc => "gc",
            Self::Repair => "repair",
        }
    }

    /// The steps that must be among those of the operation.
    pub(crate) fn steps(self) -> &'static [Step] {
        match self {
            Self::Pull => &[
                Step::Sync,
                Step::SyncDir,
                Step::SyncAll,
                Step::Rename,
                Step::MakeDir,
                Step::Remove,
                Step::RemoveDir,
            ],
            Self::Commit => &[Step::Sync, Step::SyncDir, Step::Rename, Step::Remove],
            Self::Checkout => &[Step::Link, Step::Symlink, Step::MakeDir, Step::Rename],
            Self::Untag => &[Step::Remove, Step::SyncDir, Step::RemoveDir],
            Self::Gc => &[Step::Remove, Step::SyncAll, Step::RemoveDir],
            Self::Repair => &[Step::Sync, Step::SyncDir, Step::Rename, Step::Remove],
        }
    }

    /// Whether the repository is whole before; a repair that is cut short leaves it as broken as it was, or less.
    pub(crate) fn starts_whole(self) -> bool {
        self != Self::Repair
    }
}

fn layers() -> Vec<Vec<u8>> {
    let names: Vec<String> = (0..24)
        .map(|n| format!("usr/share/{}/file{n}", n % 3))
        .collect();
    let mut first = vec![Dir("usr/", 0o755), Dir("usr/share/", 0o700)];
    first.extend(names.iter().map(|name| File(name, 0o644, name.as_bytes())));
    let big = vec![b'b'; 1_500_000];
    let many: Vec<String> = (0..70).map(|n| format!("opt/{n}")).collect();
    let mut second: Vec<Item<'_>> = vec![
        File("usr/share/1/.wh.file4", 0o644, b""),
        File("usr/share/2/.wh..wh..opq", 0o644, b""),
        File("usr/share/2/new", 0o4755, b"new"),
        Link("bin", "usr/bin"),
        File("usr/big", 0o600, &big),
    ];
    second.extend(many.iter().map(|name| File(name, 0o644, name.as_bytes())));
    let third = vec![
        File("etc/conf", 0o640, b"conf"),
        Hard("etc/conf2", "etc/conf"),
        File("etc/empty", 0o600, b""),
    ];
    [first, second, third]
        .iter()
        .map(|items| tar_of(items))
        .collect()
}

/// The image that is pulled, and checked out.
fn one(repo: &Repo) -> Image {
    tars::image_named(repo, "one", &layers(), &|_| {})
}

/// Another that shares its first layer.
fn two(repo: &Repo) -> Image {
    let mut tars = layers();
    tars.truncate(1);
    tars.push(tar_of(&[File("only/in/two", 0o644, b"two")]));
    tars::image_named(repo, "two", &tars, &|_| {})
}

/// What the operation starts from.
pub(crate) fn prepare(work: Work, place: &Path) {
    let repo = Repo::init(&place.join("repo"), Mode::BareUser).expect("init");
    let _lock = repo.lock(LockKind::Shared, &LockWait::NONE).expect("lock");
    std::fs::create_dir_all(place.join("source/sub")).expect("source");
    for name in ["a", "b", "sub/c", "sub/d"] {
        std::fs::write(place.join("source").join(name), name).expect("source");
    }
    match work {
        Work::Pull => drop(two(&repo)),
        Work::Commit => {}
        Work::Checkout => drop(one(&repo)),
        Work::Repair => damage(&repo, &one(&repo), place),
        Work::Untag | Work::Gc => {
            two(&repo);
            let image = one(&repo);
            if work == Work::Gc {
                let options = UntagOptions { force: true };
                let checkouts = place.join("checkouts");
                shared_checkout(&repo, &image, &checkouts).expect("checkout");
                untag(&repo, "one", &options).expect("untag");
            }
        }
    }
}

/// Does it. `finished` is told of each layer that is in the store.
pub(crate) fn perform(
    work: Work,
    place: &Path,
    finished: &dyn Fn(&str),
) -> Result<(), store::Error> {
    let repo = Repo::open(&place.join("repo"))?;
    let lock = || repo.lock(LockKind::Shared, &LockWait::QUIET);
    match work {
        Work::Pull => {
            let _lock = lock()?;
            tars::try_image_named(&repo, "one", &layers(), finished)?;
        }
        Work::Commit => {
            let _lock = lock()?;
            let branch = RefName::new("work/branch")?;
            if repo.resolve(&branch)?.is_some() {
                // Done: once more would put a second commit on top.
                return Ok(());
            }
            let options = CommitOptions {
                branch,
                subject: "subject".into(),
                body: String::new(),
                timestamp: 1,
            };
            commit_dir(&repo, &place.join("source"), &Owner::default(), &options)?;
        }
        Work::Checkout => {
            let _lock = lock()?;
            let image = image(&repo, "one").expect("it is there");
            let plain = place.join("plain");
            if plain.exists() {
                // What a crash left of a plain checkout is its owner's to remove.
                std::fs::remove_dir_all(&plain).expect("remove");
            }
            let options = CheckoutOptions {
                mode: CheckoutMode::Link,
                ..CheckoutOptions::default()
            };
            checkout(&repo, image.root, &plain, &options)?;
            shared_checkout(&repo, &image, &place.join("checkouts"))?;
        }
        Work::Untag => {
            let _lock = lock()?;
            match untag(&repo, "one", &UntagOptions { force: false }) {
                Err(store::Error::NotFound { .. }) => {}
                other => drop(other?),
            }
        }
        Work::Gc => collect(place)?,
        Work::Repair => {
            let _lock = lock()?;
            repair(&repo)?;
        }
    }
    Ok(())
}

/// Breaks an image in each of the ways that a repair knows: other bytes in a file with a hard link, a file and a
/// directory that are gone, and another directory's bytes.
fn damage(repo: &Repo, image: &Image, place: &Path) {
    shared_checkout(repo, image, &place.join("checkouts")).expect("checkout");
    let object = |kind: &str, id: &store::ObjectId| {
        let hex = id.hex();
        let (dir, rest) = hex.split_at(2);
        place
            .join("repo/objects")
            .join(dir)
            .join(format!("{rest}.{kind}"))
    };
    let tree = |id: &store::TreeId| repo.read_dirtree(&id.contents).expect("dirtree");
    let root = tree(&image.root);
    let etc = tree(&root.dir("etc").expect("etc"));
    let opt = root.dir("opt").expect("opt");
    let files = tree(&opt).files;
    std::fs::write(object("file", &etc.file("conf").expect("conf")), "other").expect("write");
    std::fs::remove_file(object("file", &files[3].1)).expect("remove");
    std::fs::remove_file(object("dirtree", &opt.contents)).expect("remove");
    std::fs::write(object("dirtree", &image.root.contents), [0, 1, 2]).expect("write");
}

/// What `verify --repair` does, with layers from memory.
fn repair(repo: &Repo) -> Result<(), store::Error> {
    let name = ImageName::new("one")?;
    let options = VerifyOptions {
        progress: &|_, _| {},
    };
    let found = verify(repo, &name, &options)?;
    if found.problems.is_empty() {
        return Ok(());
    }
    let mut stored = Vec::new();
    for tar in &layers() {
        let diff_id = DiffId::of(tar);
        let is_broken = found.broken_layers.contains(&diff_id);
        stored.push(match known_layer(repo, &diff_id)? {
            Some(layer) if !is_broken => layer,
            _ => tars::mend(repo, tar, &found.broken)?.layer,
        });
    }
    let image = image(repo, "one").expect("its documents are whole");
    let still: Broken = found
        .broken
        .iter()
        .filter(|(kind, id)| !is_whole(repo, *kind, id))
        .copied()
        .collect();
    mend_image(repo, &name, &image.manifest, &image.config, &stored, &still)?;
    Ok(())
}

pub(crate) fn collect(place: &Path) -> Result<(), store::Error> {
    let repo = Repo::open(&place.join("repo"))?;
    gc(
        &repo,
        &GcOptions {
            dry_run: false,
            checkouts: Some(&place.join("checkouts")),
            orphans_since: None,
            wait: LockWait::QUIET,
        },
    )
    .map(drop)
}

pub(crate) fn image(repo: &Repo, name: &str) -> Option<Image> {
    let name = store::ImageName::new(name).expect("name");
    named_image(repo, &name).expect("readable")
}

/// Fails unless every object is whole and every ref leads to all it needs.
pub(crate) fn check(place: &Path, when: &str) {
    let repo = Repo::open(&place.join("repo")).expect("open");
    let options = FsckOptions {
        progress: &|_, _| {},
    };
    let report = fsck(&repo, &options).expect("fsck");
    let problems: Vec<String> = report
        .problems
        .iter()
        .map(|problem| format!("{} at {:?}", problem.error, problem.place))
        .collect();
    assert_eq!(problems, [] as [String; 0], "{when}");
}

/// The names of all objects and refs, and what else lies around.
pub(crate) fn inventory(place: &Path) -> BTreeSet<PathBuf> {
    fn walk(dir: &Path, below: &Path, out: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let entry = entry.expect("entry");
            let path = entry.path();
            if entry.file_type().expect("type").is_dir() {
                walk(&path, below, out);
            } else {
                out.insert(path.strip_prefix(below).expect("below").to_owned());
            }
        }
    }
    let mut out = BTreeSet::new();
    for part in ["repo/objects", "repo/refs", "repo/tmp", "repo/berth"] {
        walk(&place.join(part), place, &mut out);
    }
    out
}

/// Copies a prepared place, hard links within it kept.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .expect("cp");
    assert!(status.success());
}
