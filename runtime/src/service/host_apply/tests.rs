mod attacks;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::super::host_files::{HostFiles, KeepOptions, Tracked};
use super::super::rendered::{HostContent, HostFile, HostFileKind};
use super::*;

/// A host, the outside of it, and deployments.
struct Place {
    dir: tempfile::TempDir,
    count: usize,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("host/etc")).expect("made");
        fs::create_dir_all(dir.path().join("host/usr")).expect("made");
        fs::create_dir(dir.path().join("outside")).expect("made");
        Self { dir, count: 0 }
    }

    fn host(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    fn on_host(&self, path: &str) -> PathBuf {
        self.host().join(path.trim_start_matches('/'))
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// A deployment with these files of its image.
    fn deployment(&mut self, image: &[(&str, &str)]) -> PathBuf {
        self.count += 1;
        let dir = self.dir.path().join(format!("web.{}", self.count));
        fs::create_dir_all(dir.join("rootfs")).expect("made");
        for (path, text) in image {
            let path = dir.join("rootfs").join(path);
            fs::create_dir_all(path.parent().expect("one")).expect("made");
            fs::write(path, text).expect("written");
        }
        dir
    }

    /// Plans, writes the plan down as a journal does, and applies it.
    fn change(&self, deployment: &Path, files: &HostFiles, before: &[Tracked]) -> Done {
        let plan = files.plan(&self.host(), before).expect("planned");
        let plan = serde_json::to_string(&plan).expect("text");
        let plan: HostChange = serde_json::from_str(&plan).expect("read");
        let said = self.apply(deployment, &plan);
        Done {
            said: [plan.said.clone(), said].concat(),
            tracked: plan.tracked.clone(),
            plan,
        }
    }

    fn apply(&self, deployment: &Path, plan: &HostChange) -> Vec<String> {
        let mut said = Vec::new();
        plan.apply(&self.host(), deployment, &mut |told| {
            if let HostTold::Said(text) = told {
                said.push(text.to_owned());
            }
        })
        .expect("applied");
        said
    }

    /// Every path of the host with its mode, and what is in it.
    fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut dirs = vec![self.host()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).expect("read") {
                let path = entry.expect("read").path();
                let meta = path.symlink_metadata().expect("there");
                let mode = meta.permissions().mode() & 0o7777;
                let shown = path
                    .strip_prefix(self.host())
                    .expect("in it")
                    .display()
                    .to_string();
                if meta.is_dir() {
                    found.push(format!("{shown}/ {mode:o}"));
                    dirs.push(path);
                } else if meta.is_symlink() {
                    let target = fs::read_link(&path).expect("a link");
                    found.push(format!("{shown} -> {}", target.display()));
                } else {
                    let text = fs::read_to_string(&path).expect("text");
                    found.push(format!("{shown} {mode:o} {text}"));
                }
            }
        }
        found.sort();
        found
    }
}

struct Done {
    said: Vec<String>,
    tracked: Vec<Tracked>,
    plan: HostChange,
}

fn file(path: &str, text: &str) -> HostFile {
    HostFile {
        path: path.into(),
        what: HostFileKind::File {
            mode: 0o640,
            content: HostContent::Rendered(text.into()),
        },
    }
}

fn exported(path: &str, from: &str) -> HostFile {
    HostFile {
        path: path.into(),
        what: HostFileKind::File {
            mode: 0o755,
            content: HostContent::Exported(from.into()),
        },
    }
}

fn link(path: &str, target: &str) -> HostFile {
    HostFile {
        path: path.into(),
        what: HostFileKind::Link {
            target: target.into(),
        },
    }
}

fn directory(path: &str, mode: u32) -> HostFile {
    HostFile {
        path: path.into(),
        what: HostFileKind::Directory { mode },
    }
}

fn kept(deployment: &Path, files: &[HostFile]) -> HostFiles {
    let made = HostFiles::keep(deployment, files, KeepOptions::default()).expect("kept");
    let loaded = HostFiles::load(deployment).expect("read");
    assert_eq!(loaded.as_ref(), Some(&made));
    made
}

#[test]
fn what_is_installed_is_removed_with_the_directories_made_for_it() {
    let mut place = Place::new();
    let before = place.tree();
    let from = place.deployment(&[("exports/hostfs/usr/bin/ctl", "#!ctl")]);
    let files = [
        file("/etc/web/deep/web.conf", "port 80\n"),
        link("/etc/web/way", "/nowhere"),
        exported("/usr/bin/ctl", "exports/hostfs/usr/bin/ctl"),
        directory("/var/lib/web", 0o1750),
    ];
    let done = place.change(&from, &kept(&from, &files), &[]);
    assert_eq!(
        place.tree(),
        [
            "etc/ 755",
            "etc/web/ 755",
            "etc/web/deep/ 755",
            "etc/web/deep/web.conf 640 port 80\n",
            "etc/web/way -> /nowhere",
            "usr/ 755",
            "usr/bin/ 755",
            "usr/bin/ctl 755 #!ctl",
            "var/ 755",
            "var/lib/ 755",
            "var/lib/web/ 1750",
        ]
    );
    assert!(done.said.is_empty(), "{:?}", done.said);
    let sums: Vec<(&str, &str)> = done
        .tracked
        .iter()
        .map(|it| (it.path.to_str().expect("text"), it.sha256.as_str()))
        .collect();
    let conf = store::Digest::of(b"port 80\n").hex();
    let ctl = store::Digest::of(b"#!ctl").hex();
    let expected = [
        ("/etc/web", "0"),
        ("/etc/web/deep", "0"),
        ("/etc/web/deep/web.conf", conf.as_str()),
        ("/etc/web/way", "link:/nowhere"),
        ("/usr/bin", "0"),
        ("/usr/bin/ctl", ctl.as_str()),
        ("/var", "0"),
        ("/var/lib", "0"),
        ("/var/lib/web", "0"),
    ];
    assert_eq!(sums, expected);
    let gone = place.change(&from, &HostFiles::default(), &done.tracked);
    assert_eq!((gone.said.len(), gone.tracked.len()), (0, 0));
    assert_eq!(place.tree(), before);
}

#[test]
fn a_file_that_nobody_tracks_is_left_alone_and_never_removed() {
    let mut place = Place::new();
    fs::write(place.on_host("/etc/web.conf"), "mine").expect("written");
    symlink("/mine", place.on_host("/etc/way")).expect("linked");
    let before = place.tree();
    let from = place.deployment(&[]);
    // The very same bytes are not ours either.
    let files = [
        file("/etc/web.conf", "mine"),
        link("/etc/way", "/theirs"),
        directory("/etc", 0o700),
    ];
    let done = place.change(&from, &kept(&from, &files), &[]);
    let expected = [
        "File /etc/web.conf already exists",
        "File /etc/way already exists",
    ];
    assert_eq!(done.said, expected);
    assert!(done.tracked.is_empty());
    place.change(&from, &HostFiles::default(), &done.tracked);
    assert_eq!(place.tree(), before);
}

#[test]
fn an_edited_file_is_kept_and_the_new_one_goes_beside_it() {
    let mut place = Place::new();
    let one = place.deployment(&[]);
    let done = place.change(
        &one,
        &kept(&one, &[file("/etc/a", "1"), file("/etc/b", "1")]),
        &[],
    );
    fs::write(place.on_host("/etc/a"), "edited").expect("written");
    let two = place.deployment(&[]);
    let files = kept(&two, &[file("/etc/a", "2"), file("/etc/b", "2")]);
    let done = place.change(&two, &files, &done.tracked);
    assert_eq!(
        done.said,
        ["/etc/a was changed and stays; what comes with the image is in /etc/a.new"]
    );
    let expected = [
        "etc/ 755",
        "etc/a 640 edited",
        "etc/a.new 640 2",
        "etc/b 640 2",
        "usr/ 755",
    ];
    assert_eq!(place.tree(), expected);
    // The next one replaces what nobody has touched.
    let three = place.deployment(&[]);
    let files = kept(&three, &[file("/etc/a", "3"), file("/etc/b", "3")]);
    let done = place.change(&three, &files, &done.tracked);
    let expected = [
        "etc/ 755",
        "etc/a 640 edited",
        "etc/a.new 640 3",
        "etc/b 640 3",
        "usr/ 755",
    ];
    assert_eq!(
        (place.tree(), done.said.len()),
        (expected.map(str::to_owned).to_vec(), 0)
    );
    let done = place.change(&three, &HostFiles::default(), &done.tracked);
    assert_eq!(
        done.said,
        ["Will not delete /etc/a as it was manually modified."]
    );
    assert_eq!(place.tree(), ["etc/ 755", "etc/a 640 edited", "usr/ 755"]);
}

#[test]
fn an_edit_is_said_nothing_of_while_the_image_brings_the_same() {
    let mut place = Place::new();
    let one = place.deployment(&[]);
    let files = kept(&one, &[file("/etc/a", "1")]);
    let done = place.change(&one, &files, &[]);
    fs::write(place.on_host("/etc/a"), "edited").expect("written");
    let done = place.change(&one, &files, &done.tracked);
    assert!(done.said.is_empty() && done.plan.steps().is_empty());
    // Merged by hand: it is ours again.
    fs::write(place.on_host("/etc/a"), "2").expect("written");
    let two = place.deployment(&[]);
    let done = place.change(&two, &kept(&two, &[file("/etc/a", "2")]), &done.tracked);
    assert!(done.said.is_empty() && done.plan.steps().is_empty());
    place.change(&two, &HostFiles::default(), &done.tracked);
    assert_eq!(place.tree(), ["etc/ 755", "usr/ 755"]);
}

#[test]
fn a_change_that_was_cut_off_anywhere_is_finished() {
    let mut place = Place::new();
    let one = place.deployment(&[]);
    let old = [
        file("/etc/w/a", "1"),
        file("/etc/w/sub/gone", "1"),
        link("/etc/w/l", "x"),
    ];
    let old = kept(&one, &old);
    let two = place.deployment(&[]);
    let new = [
        file("/etc/w/a", "2"),
        file("/etc/w/new/b", "2"),
        link("/etc/w/l", "y"),
        file("/etc/w/sub", "a file now"),
    ];
    let new = kept(&two, &new);
    let before = place.change(&one, &old, &[]).tracked;
    let plan = new.plan(&place.host(), &before).expect("planned");
    let whole = place.change(&two, &new, &before);
    let wanted = place.tree();
    let mut halves = 0;
    for cut in 0..plan.steps().len() {
        // Back, and then only so far.
        place.change(&one, &HostFiles::default(), &whole.tracked);
        place.change(&one, &old, &[]);
        let half = HostChange {
            steps: plan.steps[..cut].to_vec(),
            ..plan.clone()
        };
        place.apply(&two, &half);
        // What a crash within the next step leaves.
        if let Act::Put { .. } = &plan.steps[cut].act {
            let path = &plan.steps[cut].path;
            let draft = place
                .on_host(path.to_str().expect("text"))
                .with_file_name(draft_of(path.to_str().expect("text")));
            if draft.parent().is_some_and(Path::exists) {
                fs::write(draft, "half").expect("written");
                halves += 1;
            }
        }
        place.apply(&two, &plan);
        place.apply(&two, &plan);
        assert_eq!(place.tree(), wanted, "cut before step {cut}");
    }
    assert!(halves > 2, "{halves}");
}

fn draft_of(path: &str) -> String {
    format!(".berth-{}", &store::Digest::of(path.as_bytes()).hex()[..16])
}

#[test]
fn what_is_changed_between_the_decision_and_the_deed_is_left_alone() {
    let mut place = Place::new();
    let one = place.deployment(&[]);
    let done = place.change(
        &one,
        &kept(&one, &[file("/etc/a", "1"), file("/etc/c", "1")]),
        &[],
    );
    let two = place.deployment(&[]);
    let files = kept(&two, &[file("/etc/a", "2"), file("/etc/b", "2")]);
    let plan = files.plan(&place.host(), &done.tracked).expect("planned");
    for path in ["/etc/a", "/etc/b", "/etc/c"] {
        fs::write(place.on_host(path), "since").expect("written");
    }
    let before = place.tree();
    let said = place.apply(&two, &plan);
    let expected = [
        "Will not delete /etc/c as it was manually modified.",
        "File /etc/a already exists",
        "File /etc/b already exists",
    ];
    assert_eq!(said, expected);
    let after = place.tree();
    let mode = |tree: &[String]| tree.iter().filter(|it| it.contains("since")).count();
    assert_eq!((before.len(), mode(&after)), (after.len(), 3));
}

#[test]
fn below_usr_a_file_may_be_the_stores_own() {
    let mut place = Place::new();
    let from = place.deployment(&[("exports/hostfs/x", "bytes"), ("exports/hostfs/empty", "")]);
    for name in ["x", "empty"] {
        let path = from.join("rootfs/exports/hostfs").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
    }
    let files = [
        exported("/usr/x", "exports/hostfs/x"),
        exported("/etc/x", "exports/hostfs/x"),
        exported("/usr/empty", "exports/hostfs/empty"),
    ];
    let inode = |path: PathBuf| path.metadata().expect("there").ino();
    let stored = inode(from.join("rootfs/exports/hostfs/x"));
    for use_links in [false, true] {
        let options = KeepOptions {
            use_links,
            copies: false,
        };
        let list = HostFiles::keep(&from, &files, options).expect("kept");
        let done = place.change(&from, &list, &[]);
        assert_eq!(inode(place.on_host("/usr/x")) == stored, use_links);
        assert_ne!(inode(place.on_host("/etc/x")), stored);
        assert_eq!(
            place
                .on_host("/usr/empty")
                .metadata()
                .expect("there")
                .nlink(),
            1
        );
        place.change(&from, &HostFiles::default(), &done.tracked);
    }
}

#[test]
fn copies_outlive_the_image() {
    let mut place = Place::new();
    let from = place.deployment(&[("exports/hostfs/x", "bytes")]);
    let options = KeepOptions {
        use_links: false,
        copies: true,
    };
    let files = [exported("/etc/x", "exports/hostfs/x")];
    let list = HostFiles::keep(&from, &files, options).expect("kept");
    fs::remove_dir_all(from.join("rootfs")).expect("removed");
    place.change(&from, &list, &[]);
    assert_eq!(
        fs::read_to_string(place.on_host("/etc/x")).expect("there"),
        "bytes"
    );
}

#[test]
fn what_atomic_tracked_is_understood() {
    let place = Place::new();
    fs::write(place.on_host("/etc/old"), "old").expect("written");
    fs::write(place.on_host("/etc/unknown"), "?").expect("written");
    symlink("old", place.on_host("/etc/link")).expect("linked");
    symlink("nowhere", place.on_host("/etc/dangling")).expect("linked");
    let sum = store::Digest::of(b"old").hex();
    let tracked = [
        ("/etc/old", sum.as_str()),
        ("/etc/link", sum.as_str()),
        ("/etc/dangling", "0"),
        ("/etc/unknown", ""),
        ("/etc/not-there", "0"),
    ];
    let tracked = tracked.map(|(path, sum)| Tracked {
        path: path.into(),
        sha256: sum.to_owned(),
    });
    let deployment = place.outside();
    let done = place.change(&deployment, &HostFiles::default(), &tracked);
    assert_eq!(
        done.said,
        ["Will not delete /etc/unknown as it was manually modified."]
    );
    assert_eq!(place.tree(), ["etc/ 755", "etc/unknown 644 ?", "usr/ 755"]);
}
