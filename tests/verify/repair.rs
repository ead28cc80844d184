//! `berth verify --repair`: only what is broken is fetched, and hard links are mended with their objects.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::json;

use super::{Pulled, flip, sample};
use crate::needs;
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Layout, Tar};

/// What a hard link shows of its file.
fn shown(path: &Path) -> (u64, u32, i64, i64, Vec<u8>) {
    let stat = fs::metadata(path).unwrap();
    let mode = stat.mode() & 0o7777;
    (
        stat.ino(),
        mode,
        stat.mtime(),
        stat.mtime_nsec(),
        fs::read(path).unwrap(),
    )
}

#[test]
fn a_broken_object_is_mended_with_all_its_links() {
    needs!(Registry);
    let it = Pulled::new();
    for out in ["one", "two"] {
        it.home.berth(["checkout", "-q", &it.name, out]).ok();
    }
    let places = [
        it.file("/opt/app/data"),
        it.home.join("one/opt/app/data"),
        it.home.join("two/opt/app/data"),
    ];
    let good = shown(&places[0]);
    assert_eq!(good.1, 0o644);
    flip(&places[1]);
    fs::set_permissions(&places[1], fs::Permissions::from_mode(0o600)).unwrap();
    assert_ne!(shown(&places[0]), good);
    it.verify(1);
    assert_eq!(
        it.repair(),
        json!({"problems": 1, "layers": 1, "objects": 1, "mended": 1})
    );
    assert_eq!(it.fetched(), [1, 2, 1], "only the layer of the object");
    for place in &places {
        assert_eq!(shown(place), good, "{}", place.display());
    }
    // Nothing to do is nothing done.
    assert_eq!(it.repair()["layers"], 0);
    assert_eq!(it.fetched(), [1, 2, 1]);
}

#[test]
fn cut_and_missing_objects_come_back() {
    needs!(Registry);
    let it = Pulled::new();
    let (data, top) = (it.file("/opt/app/data"), it.file("/etc/top"));
    fs::write(&data, "").unwrap();
    fs::remove_file(&top).unwrap();
    it.verify(1)
        .out_has(" not found (in layer ")
        .out_has(" is corrupt: expected ")
        .out_has(": 2 problems\n");
    let repaired = it.repair();
    assert_eq!(
        (&repaired["layers"], &repaired["mended"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(it.fetched(), [1, 2, 2]);
    assert_eq!(fs::read(data).unwrap(), b"data of the application\n");
    assert_eq!(fs::read(top).unwrap(), b"top\n");
}

#[test]
fn a_changed_mode_is_mended() {
    needs!(Registry);
    let it = Pulled::new();
    let program = it.file("/opt/app/program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).unwrap();
    it.verify(1)
        .out_has("is corrupt: expected 0755, found 0777 (in layer ")
        .out_has(":/opt/app/program)\n");
    it.repair();
    let mode = fs::metadata(&program).unwrap().permissions().mode();
    assert_eq!(format!("{:o}", mode & 0o7777), "755");
    assert_eq!(it.fetched(), [1, 2, 1]);
}

#[test]
fn a_broken_directory_is_mended() {
    needs!(Registry);
    let it = Pulled::new();
    let [tree, meta] = it.listed("/opt/app").try_into().unwrap();
    let (tree, meta) = (it.object(&tree, "dirtree"), it.object(&meta, "dirmeta"));
    let good = (fs::read(&tree).unwrap(), fs::read(&meta).unwrap());
    flip(&tree);
    it.verify(1)
        .out_has(" is corrupt: expected ")
        .out_has(":/opt/app/)\n");
    it.repair();
    assert_eq!(it.fetched(), [1, 2, 1]);
    fs::remove_file(&tree).unwrap();
    flip(&meta);
    it.verify(1);
    it.repair();
    assert_eq!((fs::read(&tree).unwrap(), fs::read(&meta).unwrap()), good);
}

#[test]
fn the_flattened_tree_is_made_again_from_what_is_here() {
    needs!(Registry);
    let it = Pulled::new();
    // The root and `etc` look like this in no layer.
    let [root, _] = it.listed("/").try_into().unwrap();
    let [etc, _] = it.listed("/etc").try_into().unwrap();
    flip(&it.object(&root, "dirtree"));
    let broken = |places: &[&str]| {
        let ran = it.verify(1);
        for place in places {
            assert!(ran.stdout.contains(place), "{}", ran.stdout);
        }
    };
    broken(&["(in ocifs/"]);
    let before = it.registry.requests().len();
    assert_eq!(it.repair()["layers"], 0);
    fs::remove_file(it.object(&root, "dirtree")).unwrap();
    let _ = fs::remove_file(it.object(&etc, "dirtree"));
    it.verify(1);
    it.repair();
    let flat = it.home.sh("find root/repo/refs/heads/ocifs -type f").ok();
    let flat = it.home.join(flat.text());
    let commit = fs::read_to_string(&flat).unwrap();
    fs::remove_file(it.object(commit.trim(), "commit")).unwrap();
    it.verify(1);
    it.repair();
    assert_eq!(fs::read_to_string(&flat).unwrap(), commit);
    fs::remove_file(&flat).unwrap();
    it.verify(1);
    it.repair();
    assert_eq!(fs::read_to_string(&flat).unwrap(), commit);
    assert_eq!(it.registry.requests().len(), before, "nobody was asked");
}

#[test]
fn broken_documents_come_from_the_source() {
    needs!(Registry);
    let it = Pulled::new();
    let holding = |text: &str| {
        let found = it.home.sh(&format!(
            "grep -rlF --include='*.file' {text:?} root/repo/objects"
        ));
        it.home.join(found.ok().text())
    };
    for (what, text) in [("manifest", "\"schemaVersion\""), ("config", "\"rootfs\"")] {
        let document = holding(text);
        let good = fs::read(&document).unwrap();
        flip(&document);
        it.verify(1).out_has(what).err_has("hint: ");
        let images = it.home.berth(["images"]).ok();
        let warning = format!("warning: image {} is damaged: ", it.name);
        // What the manifest says is in the image's commit too.
        assert_eq!(images.stderr.contains(&warning), what == "config");
        it.repair();
        assert_eq!(fs::read(&document).unwrap(), good, "{what}");
        fs::remove_file(&document).unwrap();
        it.verify(1).out_has("not found");
        it.repair();
        assert_eq!(fs::read(&document).unwrap(), good, "{what}");
    }
    assert_eq!(it.fetched(), [1, 1, 1], "no layer is fetched for it");
}

/// The id of a commit says which image it was of, even where the commit is no more.
#[test]
fn an_image_without_its_commit_is_not_made_another() {
    needs!(Registry);
    let it = Pulled::new();
    let escaped = it.name.replace(':', "_3A").replace('/', "_2F");
    let reference = format!("root/repo/refs/heads/ociimage/{escaped}");
    let id = fs::read_to_string(it.home.join(reference)).unwrap();
    let commit = it.object(id.trim(), "commit");
    let good = fs::read(&commit).unwrap();
    let tar = Tar::new().file("opt/app/data", "other");
    let other = it.home.join("other");
    Layout::with(&other, &Image::new([Layer::new(tar.finish(), Form::Gzip)]));
    it.registry.push_layout(&other, "app:latest");
    let objects = || it.home.sh("find root/repo/objects -type f | sort").ok();
    for damage in [
        &(|| fs::remove_file(&commit).unwrap()) as &dyn Fn(),
        &|| fs::write(&commit, "no commit").unwrap(),
    ] {
        damage();
        let before = objects().stdout;
        it.home
            .berth(["verify", "--repair", &it.name])
            .fails(1)
            .one_error()
            .err_has(&format!(
                "error: cannot repair {0}: cannot tell which image {0} was: its commit cannot be read, \
                 and is not that of the image at its source: pull it again\n",
                it.name
            ));
        assert_eq!(objects().stdout, before);
    }
    it.registry
        .push_layout(&it.home.join("layout"), "app:latest");
    it.repair();
    assert_eq!(fs::read(&commit).unwrap(), good);
    assert_eq!(it.fetched(), [1, 1, 1]);
}

#[test]
fn a_repair_asks_the_policy() {
    needs!(Registry);
    let it = Pulled::new();
    let found = it
        .home
        .sh("grep -rlF --include='*.file' '\"schemaVersion\"' root/repo/objects");
    let document = it.home.join(found.ok().text());
    flip(&document);
    let bad = fs::read(&document).unwrap();
    let text = json!({"default": [{"type": "reject"}]}).to_string();
    let policy = it.home.write("policy.json", text);
    let flag = format!("--signature-policy={}", policy.display());
    it.home
        .berth(["verify", "--repair", &flag, &it.name])
        .fails(1)
        .one_error()
        .err_has(&format!(
            "error: cannot repair {}: policy {} refuses it: it rejects the image\n",
            it.name,
            policy.display()
        ));
    assert_eq!(fs::read(&document).unwrap(), bad);
    it.repair();
}

#[test]
fn an_image_from_a_layout_is_repaired_from_there() {
    let home = Home::new();
    let layout = home.join("layout");
    Layout::with(&layout, &sample());
    let source = format!("oci:{}:latest", layout.display());
    home.berth(["pull", "-q", "--name", "app", &source]).ok();
    home.berth(["checkout", "-q", "app", "out"]).ok();
    let data = home.join("out/opt/app/data");
    flip(&data);
    // Its name leads nowhere.
    home.berth(["verify", "--repair", "app"])
        .fails(1)
        .one_error()
        .err_has("hint: name where it is with --from SOURCE");
    home.berth(["verify", "--from", &source, "app"]).fails(2);
    let other = home.join("other");
    let tar = Tar::new().file("opt/app/data", "other");
    Layout::with(&other, &Image::new([Layer::new(tar.finish(), Form::Gzip)]));
    home.berth([
        "verify",
        "--repair",
        "--from",
        &format!("oci:{}", other.display()),
        "app",
    ])
    .fails(1)
    .one_error();
    home.berth(["verify", "app"]).fails(1);
    let ran = home
        .berth(["verify", "--repair", "--from", &source, "app"])
        .ok();
    ran.out_has("app: found 1 problems, fetched 1 layers, wrote 1 objects, 1 of them in place\n")
        .out_has(": no problems\n");
    assert_eq!(fs::read(&data).unwrap(), b"data of the application\n");
}

#[test]
fn a_running_program_is_mended_by_name() {
    let home = Home::new();
    let program = fs::read("/bin/sleep").unwrap();
    let tar = Tar::new().file_with("bin/sleep", 0o755, 0, 0, &program);
    let layout = home.join("layout");
    Layout::with(&layout, &Image::of(tar));
    let source = format!("oci:{}:latest", layout.display());
    home.berth(["pull", "-q", "--name", "app", &source]).ok();
    home.berth(["checkout", "-q", "app", "out"]).ok();
    let file = home.join("out/bin/sleep");
    let object = home
        .sh("find root/repo/objects -samefile out/bin/sleep")
        .ok();
    let object = home.join(object.text());
    // The last byte is in no segment that runs.
    let mut bad = program.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&file, &bad).unwrap();
    assert_eq!(fs::read(&object).unwrap(), bad);
    let running = home.program(&file).args(["60"]).start();
    home.sh(&format!(
        "for i in $(seq 500); do test \"$(readlink /proc/{0}/exe)\" = {1} && exit 0; sleep 0.01; done; exit 1",
        running.pid(),
        file.display()
    ))
    .ok();
    assert!(
        fs::OpenOptions::new().write(true).open(&object).is_err(),
        "it is busy"
    );
    home.berth(["verify", "--repair", "--from", &source, "app"])
        .ok()
        .out_has(": no problems\n");
    assert_eq!(fs::read(&object).unwrap(), program);
    assert_eq!(
        fs::read(&file).unwrap(),
        bad,
        "the program that runs keeps its file"
    );
    drop(running);
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
}
