//! `berth save` and `berth load`.

use super::{identity, inspected, sample, stored};
use crate::needs;
use crate::pull::noise;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::{Home, images};

/// What is in the home folder.
fn listing(home: &Home) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn other() -> Image {
    Image::of(Tar::new().file("other", "of its own\n"))
}

#[test]
fn images_that_are_saved_and_loaded_are_the_same() {
    let home = Home::new();
    stored(&home, "registry.example/app:1", &sample(Form::Zstd), &[]);
    stored(&home, "other", &other(), &[]);
    let names = ["registry.example/app:1", "other"];
    let there = Home::new();
    for format in ["oci-archive", "docker-archive"] {
        let file = there.join(format!("{format}.tar"));
        let ran = home
            .sh(&format!(
                "$BERTH --root $ROOT save --format {format} {} {} >saved.tar",
                names[0], names[1]
            ))
            .ok();
        std::fs::copy(home.join("saved.tar"), &file).unwrap();
        let is_docker = format == "docker-archive";
        let note = if is_docker {
            "note: an archive of docker's has no manifest, and its layers are not compressed; "
        } else {
            "note: 1 of 1 layers is compressed anew; the manifest is now sha256:"
        };
        let ran = ran.err_has(note);
        // a docker name has a host and a tag
        let other = if is_docker {
            "docker.io/library/other:latest"
        } else {
            "other"
        };
        let lines = format!("Loaded image: {}\nLoaded image: {other}\n", names[0]);
        let load = format!("$BERTH --root {format} load -i {format}.tar");
        assert_eq!(there.sh(&load).ok().stdout, lines);
        let load = format!("$BERTH --root {format}-stdin load -q <{format}.tar");
        assert_eq!(there.sh(&load).ok().stdout, lines);
        for (name, loaded) in [(names[0], names[0]), (names[1], other)] {
            let show = format!("$BERTH --root {format} inspect {loaded}");
            let found = there.sh(&show).ok().json();
            assert_eq!(identity(&found), identity(&inspected(&home, name)));
            // what was said of the manifest is what is found
            let digest = found["digest"].as_str().unwrap();
            assert!(
                ran.stderr
                    .contains(&format!("the manifest is now {digest} ")),
                "{digest}"
            );
        }
        let cat = format!("$BERTH --root {format} cat {} /etc/same", names[0]);
        assert_eq!(there.sh(&cat).ok().stdout, "top\n");
    }
}

#[test]
fn one_image_always_makes_one_archive() {
    let home = Home::new();
    stored(&home, "app", &sample(Form::Plain), &[]);
    for format in ["oci-archive", "docker-archive"] {
        let file = format!("{format}.tar");
        for out in [file.as_str(), "again.tar"] {
            home.berth(["save", "-q", "--format", format, "-o", out, "app"])
                .ok();
        }
        home.sh(&format!("cmp {file} again.tar")).ok();
        let names = home.sh(&format!("tar tf {file}")).ok().stdout;
        assert!(names.lines().all(|name| !name.starts_with('/')), "{names}");
    }
}

/// Who only reads adds nothing to somebody else's repository, not even a lock.
#[test]
fn a_save_leaves_nothing_where_it_reads() {
    let (home, other) = (Home::new(), Home::new());
    stored(&home, "app", &self::other(), &[]);
    let lock = home.repo().join(".lock");
    std::fs::remove_file(&lock).unwrap();
    let repo = home.repo().display().to_string();
    home.sh("chmod 755 . root root/repo").by_root().ok();
    for command in [
        &["save", "-q", "-o", "app.tar", "app"][..],
        &["push", "-q", "app", "dir:app"],
    ] {
        let args = ["--repo", repo.as_str()].into_iter();
        other.berth(args.chain(command.iter().copied())).ok();
        assert!(!lock.exists(), "{command:?}");
    }
    other.berth(["load", "-q", "-i", "app.tar"]).ok();
}

#[test]
fn archives_of_other_tools_are_loaded() {
    needs!(Images);
    let home = Home::new();
    for name in ["redis-save", "redis-save25"] {
        let built = images::get(name);
        let path = built.path.to_string_lossy().into_owned();
        let ran = home.berth(["load", "-q", "-i", &path]).ok();
        let lines: Vec<&str> = ran.text().lines().collect();
        assert!(!lines.is_empty());
        for line in lines {
            let loaded = line.strip_prefix("Loaded image: ").unwrap();
            assert_eq!(inspected(&home, loaded)["id"], built.config.as_str());
        }
    }
}

#[test]
fn images_without_a_name_are_called_after_the_file() {
    let home = Home::new();
    let mut layout = Layout::new(&home.join("layout"));
    for (image, name) in [(sample(Form::Gzip), "latest"), (other(), "latest")] {
        let manifest = layout.put_image(&image);
        layout.name(manifest, name);
    }
    home.sh("tar cf two.tar -C layout .").ok();
    let ran = home.berth(["load", "-q", "-i", "two.tar"]).ok();
    assert_eq!(
        ran.stdout,
        "Loaded image: two.tar@0\nLoaded image: two.tar@1\n"
    );
}

#[test]
fn a_save_that_does_not_end_leaves_no_file() {
    let home = Home::new();
    let image = Image::new([Layer::new(
        Tar::new().file("noise", noise(1 << 20)).finish(),
        Form::Plain,
    )]);
    stored(&home, "app", &image, &[]);
    home.write("old.tar", "what was there");
    let before = listing(&home);
    for format in ["oci-archive", "docker-archive"] {
        for file in ["new.tar", "old.tar"] {
            let save = format!("exec $BERTH --root $ROOT save --format {format} -o {file} app");
            // killed in the middle of a write
            home.sh(&format!("ulimit -f 512; {save}")).fails(128 + 25);
            assert_eq!(listing(&home), before);
            // refused in the middle of a write
            let ran = home
                .sh(&format!("trap '' XFSZ; ulimit -f 512; {save}"))
                .fails(1);
            ran.one_error().err_has(&format!(
                "error: cannot save app to {format}:{file}: cannot write {file}: "
            ));
            assert_eq!(listing(&home), before);
        }
    }
    assert_eq!(
        std::fs::read(home.join("old.tar")).unwrap(),
        b"what was there"
    );
    home.berth(["save", "-q", "-o", "old.tar", "app"]).ok();
    assert_eq!(listing(&home), before, "it is replaced");
    home.berth(["save", "-q", "-o", "absent/x.tar", "app"])
        .fails(1)
        .one_error()
        .err_has("error: cannot save app to oci-archive:absent/x.tar: cannot write to absent: ");
    home.berth(["save", "-o", "none.tar", "app", "absent"])
        .fails(1)
        .one_error()
        .err_has("image absent not found");
    assert_eq!(listing(&home), before);
}

#[test]
fn an_archive_is_not_written_to_a_terminal() {
    let home = Home::new();
    stored(&home, "app", &other(), &[]);
    for (command, verb) in [
        ("save app", "save"),
        ("push app oci-archive:-", "push"),
        ("copy oci:layout-app docker-archive:-", "copy"),
    ] {
        let ran = home
            .sh(&format!(
                "script -qec \"$BERTH --root $ROOT {command}\" /dev/null"
            ))
            .fails(1);
        assert!(
            ran.stdout
                .starts_with(&format!("error: cannot {verb} to a terminal\r\nhint: ")),
            "{}",
            ran.stdout
        );
    }
    // a pipe is no terminal
    home.sh("$BERTH --root $ROOT save app | tar t >names").ok();
    home.sh(
        "$BERTH --root $ROOT copy -q oci:layout-app oci-archive:- | tar t | grep -q index.json",
    )
    .ok();
}
