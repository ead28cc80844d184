//! What Atomic did wrong, by its number in the list of defects.

use std::fs;

use super::{NAME, World, app};
use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::ostree::Ostree;
use crate::support::registry::Registry;
use crate::support::{Home, digest};

#[test]
fn defect_6_prune_keeps_configs_and_with_them_labels() {
    needs!(Ostree);
    let world = World::pulled();
    let before = world.atomic("info app").ok().stdout;
    assert!(before.contains("atomic.type: system\n"), "{before}");
    assert_eq!(world.atomic("images prune").ok().stdout, "");
    assert_eq!(world.atomic("info app").ok().stdout, before);
    world.atomic("-y images delete app").ok();
    // Names go at once, the rest with prune, which says so.
    assert!(!world.atomic("images list -a").ok().stdout.is_empty());
    let pruned = world.atomic("images prune").ok().stdout;
    let config = format!("Deleting ociimage/{}\n", world.id());
    assert!(pruned.contains(&config), "{pruned}");
    assert_eq!(world.atomic("images list -a").ok().stdout, "");
    Ostree::of(&world.home).fsck();
}

#[test]
fn defect_7_what_is_mounted_is_the_upper_layer() {
    let lower = Tar::new()
        .dir("etc")
        .file("etc/both", "lower\n")
        .file("etc/gone", "lower\n");
    let upper = Tar::new()
        .dir("etc")
        .file("etc/both", "upper\n")
        .whiteout("etc/gone");
    let layers = [lower, upper].map(|tar| Layer::new(tar.finish(), Form::Gzip));
    let world = World::of(Home::new(), Image::new(layers));
    world.atomic("pull --storage ostree docker.io/app").ok();
    world.home.sh("mkdir mnt").ok();
    world.atomic("mount app mnt").ok();
    let read = |name: &str| fs::read_to_string(world.home.join("mnt/etc").join(name));
    assert_eq!(read("both").unwrap(), "upper\n");
    assert!(read("gone").is_err());
    assert!(!world.home.join("mnt/etc/.wh.gone").exists());
    world.atomic("umount mnt").ok();
}

#[test]
fn defect_8_verify_finds_what_is_broken_and_asks_for_the_right_tag() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start());
    let push = |text: &str, name: &str| {
        let folder = home.join(format!("layout-{text}"));
        let digest = Layout::with(&folder, &app(text));
        registry.push_layout(&folder, name);
        digest
    };
    push("one", "app:stable");
    push("two", "app:latest");
    let name = format!("{}/app:stable", registry.host());
    let atomic = |words: &str| home.berth(std::iter::once("atomic").chain(words.split(' ')));
    atomic(&format!("pull {name}")).ok();
    let verify = format!("images verify --storage ostree {name}");
    let ran = atomic(&verify).ok();
    assert_eq!(ran.stdout, "", "the tag is compared with itself");
    let table = |differs: &str| {
        format!(
            "\n{name} contains the following images:\n\n{:<30} {:<20} {:<20} {:<1}\n{:<30} {:<20} {:<20} {differs:<1}\n\n\n",
            "NAME",
            "LOCAL VERSION",
            "REMOTE VERSION",
            "DIFFERS",
            &name[..name.len().min(30)],
            "3.1-7",
            "3.1-7"
        )
    };
    assert_eq!(atomic(&format!("{verify} -v")).ok().stdout, table("NO"));
    push("three", "app:stable");
    assert_eq!(atomic(&verify).ok().stdout, table("YES"));
    // A file of a layer, not of the manifest's commit.
    let found = home.sh(&format!("grep -rlx one {}/objects", home.repo().display()));
    let object = found.ok().text().to_owned();
    home.sh(&format!("chmod u+w {object}; echo ONE > {object}"))
        .ok();
    let ran = atomic(&format!("{verify} --no-validate")).ok();
    assert_eq!(ran.stdout, table("YES"));
    let ran = atomic(&verify).fails(1);
    let said = ran
        .stdout
        .strip_prefix(&table("YES"))
        .expect("the table first");
    assert!(said.contains("/etc/app"), "{said}");
    let ran = atomic("verify --all --storage ostree").fails(1);
    assert!(ran.stdout.contains("/etc/app"), "{}", ran.stdout);
}

#[test]
fn defect_11_names_need_no_dns() {
    let world = World::new();
    let qualified = "is not fully qualified";
    let ran = world.atomic("pull docker.io/app").ok();
    assert!(!ran.stderr.contains(qualified), "{}", ran.stderr);
    let ran = world.atomic("pull app").ok();
    ran.err_has(
        "The image `app` is not fully qualified.  The default registry configured for Skopeo will be used.\n",
    );
    // A host that DNS might know is a part of a path on docker.io here and everywhere.
    let ran = world.atomic("pull library/app").ok();
    ran.err_has("The image `library/app` is not fully qualified.");
    let ran = world.atomic("images list -n").ok();
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.starts_with(&format!("   {NAME} ")));
}

#[test]
fn defect_12_images_are_named_by_digests() {
    let world = World::new();
    let id = digest(&serde_json::to_vec(&world.image.manifest()).unwrap());
    let name = format!("docker.io/app@{id}");
    world.atomic(&format!("pull --storage ostree {name}")).ok();
    world
        .atomic(&format!("images info {name}"))
        .ok()
        .out_has("Version: 3.1\n");
    world.atomic(&format!("images verify {name}")).ok();
    let ran = world.atomic("images list -n").ok();
    assert!(
        ran.stdout.starts_with(&format!("   {NAME}   <none> ")),
        "{}",
        ran.stdout
    );
    world.home.sh("mkdir mnt").ok();
    world.atomic(&format!("mount {name} mnt")).ok();
    assert!(world.home.join("mnt/etc/app").exists());
    world.atomic("umount mnt").ok();
    world.atomic(&format!("-y images delete {name}")).ok();
    assert_eq!(world.atomic("images list").ok().stdout, "");
}

#[test]
fn defect_13_dockertar_and_docker_are_read_as_they_were_documented() {
    let world = World::new();
    let tar = world.home.join("saved.tar");
    world.image.write_docker_archive(&tar, &["team/app:3"]);
    for slashes in ["dockertar:", "dockertar:/"] {
        world
            .atomic(&format!("pull --storage ostree {slashes}{}", tar.display()))
            .dir("/")
            .ok();
        let ran = world.atomic("images list -n").ok();
        assert!(
            ran.stdout.starts_with("   docker.io/team/app   3 "),
            "{}",
            ran.stdout
        );
        world.atomic("-y images delete team/app:3").ok();
    }
    // One colon is enough for docker's daemon.
    let ran = world
        .atomic("pull --storage ostree docker:app")
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .fails(1);
    ran.err_has("Failed: cannot pull docker-daemon:app:latest")
        .err_has("/nowhere/docker.sock");
    assert_eq!(world.atomic("images list").ok().stdout, "");
}
