//! `atomic pull` and `atomic images`, column by column.

use serde_json::json;

use super::{NAME, World, app};
use crate::needs;
use crate::support::Home;
use crate::support::image::Layout;
use crate::support::ostree::Ostree;
use crate::support::registry::Registry;

const NOT_ROOT: &str = "Some operations for 'images' require root access.\n";

/// A line of `images list`, in Atomic's widths for that name.
fn line(cells: [&str; 7]) -> String {
    let [flag, repo, tag, id, created, size, kind] = cells;
    format!("{flag:<2} {repo:<23} {tag:<8} {id:<14} {created:<18} {size:<14} {kind:<10}\n")
}

#[test]
fn images_are_listed_in_atomics_columns() {
    let world = World::new();
    let nothing = world.atomic("images list").ok();
    assert_eq!((nothing.stdout.as_str(), nothing.stderr.as_str()), ("", ""));
    assert_eq!(world.atomic("images list --json").ok().stdout, "[]\n");
    let pulled = world.atomic("pull --storage ostree docker.io/app").ok();
    assert_eq!(pulled.stdout, "");
    let heading = [
        " ",
        "REPOSITORY",
        "TAG",
        "IMAGE ID",
        "CREATED",
        "VIRTUAL SIZE",
        "TYPE",
    ];
    let id = world.id();
    let row = line([
        "",
        NAME,
        "latest",
        &id[..12],
        "2017-03-01 12:30",
        "3.58 KB",
        "ostree",
    ]);
    let listed = world.atomic("images list").ok();
    assert_eq!(listed.stdout, format!("{}{row}", line(heading)));
    assert_eq!(world.atomic("images list -n").ok().stdout, row);
    assert_eq!(
        world.atomic("images list -q").ok().stdout,
        format!("{}\n", &id[..12])
    );
    assert_eq!(
        world.atomic("images list -q --no-trunc").ok().stdout,
        format!("{id}\n")
    );
    let full =
        format!("   {NAME}   latest   {id:<65} 2017-03-01 12:30   3.58 KB        ostree    \n");
    assert_eq!(world.atomic("images list -n --no-trunc").ok().stdout, full);
}

#[test]
fn images_are_listed_with_atomics_keys() {
    let world = World::pulled();
    let listed = world.atomic("images list --json").ok();
    let expected = json!([{
        "repo": NAME, "tag": "latest", "is_dangling": false, "used": false, "vulnerable": false,
        "id": world.id(), "type": "image", "created": "2017-03-01 12:30:59",
        "virtual_size": "3.58 KB", "backend": "ostree", "vuln_info": {},
    }]);
    assert_eq!(listed.json(), expected);
    assert!(
        listed
            .stdout
            .starts_with("[\n    {\n        \"repo\": \"docker.io/library/app\",\n"),
        "{}",
        listed.stdout
    );
}

#[test]
fn images_are_filtered() {
    let world = World::pulled();
    let id = world.id();
    for (filter, fits) in [
        ("repo=app", true),
        ("repository=docker.io", true),
        ("repo=nothing", false),
        ("tag=late", true),
        ("TAG=LATEST", true),
        ("tag=1", false),
        (&format!("id={}", &id[..6]), true),
        (&format!("image={id}"), true),
        ("created=2017-03", true),
        ("size=kb", true),
        ("type=ostree", true),
        ("type=docker", false),
        ("is_dangling=false", true),
        ("is_dangling=true", false),
    ] {
        let ran = world.atomic(&format!("images list -q -f {filter}")).ok();
        let expected = if fits {
            format!("{}\n", &id[..12])
        } else {
            String::new()
        };
        assert_eq!(ran.stdout, expected, "{filter}");
    }
    world
        .atomic("images list -q -f repo=app -f type=docker")
        .ok();
    let bad = world.atomic("images list -f not-a-filter=x").fails(1);
    assert_eq!(
        bad.stderr,
        format!(
            "The filter not-a-filter is not valid.  Please choose from ['repo', 'repository', 'tag', 'id', 'image', 'created', 'size', 'type', 'is_dangling']\n{NOT_ROOT}"
        )
    );
    let bad = world.atomic("images list -f repo").fails(1);
    assert_eq!(
        bad.stderr,
        format!("The filter repo is not formatted correctly.  It should be VAR=VALUE\n{NOT_ROOT}")
    );
}

#[test]
fn all_shows_layers_and_configs_too() {
    let world = World::pulled();
    let ran = world.atomic("images list -a -n").ok();
    let none: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("   <none>"))
        .collect();
    assert_eq!(none.len(), 2, "a layer and a config\n{}", ran.stdout);
    let layer = &world.image.layers[0].digest["sha256:".len()..][..12];
    assert!(
        none.iter()
            .any(|line| line.contains(layer) && line.contains("3.58 KB")),
        "{none:?}"
    );
    assert!(none.iter().any(|line| line.contains(&world.id()[..12])));
}

#[test]
fn an_image_in_use_is_marked() {
    needs!(Images);
    let home = Home::new();
    let image = crate::support::images::get("busybox").source();
    home.berth(["pull", "-q", "--name", "busybox", &image]).ok();
    let listed = |home: &Home| home.berth(["atomic", "images", "list", "-n"]).ok().stdout;
    assert!(listed(&home).starts_with("   busybox"), "{}", listed(&home));
    let dir = home.join("mnt");
    home.sh("mkdir mnt").ok();
    home.berth(["mount", "busybox", dir.to_str().unwrap()]).ok();
    assert!(listed(&home).starts_with(">  busybox"), "{}", listed(&home));
    home.berth(["umount", dir.to_str().unwrap()]).ok();
    assert!(listed(&home).starts_with("   busybox"), "{}", listed(&home));
}

#[test]
fn an_image_is_deleted_when_yes_is_said() {
    let world = World::pulled();
    let asked = "Do you wish to delete the following images?\n\n   IMAGE                          STORAGE\n   docker.io/library/app:latest   ostree\n\nConfirm (y/N) ";
    for answer in ["n\n", "\n", ""] {
        let ran = world
            .atomic("images delete docker.io/app")
            .input(answer)
            .fails(2);
        assert_eq!(ran.stdout, asked);
        assert_eq!(
            ran.stderr,
            "User aborted delete operation for ['docker.io/app']\n"
        );
    }
    assert_eq!(
        world.atomic("images list -q").ok().stdout.lines().count(),
        1
    );
    let ran = world.atomic("images delete app").input("YES\n").ok();
    assert_eq!(ran.stdout, asked);
    assert_eq!(world.atomic("images list").ok().stdout, "");
}

#[test]
fn delete_takes_ids_and_all() {
    let world = World::pulled();
    world.atomic("images tag app other:1").ok();
    let id = &world.id()[..6];
    let ran = world
        .atomic(&format!(
            "--assumeyes images delete -f --storage ostree {id}"
        ))
        .ok();
    assert_eq!(
        ran.stdout,
        "The following images will be deleted.\n\n   IMAGE                          STORAGE\n   docker.io/library/app:latest   ostree\n   docker.io/library/other:1      ostree\n"
    );
    assert_eq!(world.atomic("images list").ok().stdout, "");
    let ran = world.atomic("-y images delete -a").fails(1);
    assert_eq!(ran.stderr, format!("No images to delete.\n{NOT_ROOT}"));
    for words in ["images delete", "images delete -a app"] {
        let ran = world.atomic(words).fails(1);
        assert_eq!(
            ran.stderr,
            format!("You must select --all or provide a list of images to delete.\n{NOT_ROOT}")
        );
    }
    let ran = world.atomic("-y images delete app").fails(1);
    assert_eq!(
        ran.stderr,
        format!("Unable to find 'app' in the following backends: ostree\n{NOT_ROOT}")
    );
    let ran = world
        .atomic("-y images delete --storage ostree app")
        .fails(1);
    assert_eq!(
        ran.stderr,
        format!("Unable to find app in the ostree backend\n{NOT_ROOT}")
    );
    world.atomic("pull --storage ostree docker.io/app").ok();
    world.atomic("-y images delete --all").ok();
    assert_eq!(world.atomic("images list").ok().stdout, "");
}

#[test]
fn an_image_gets_another_name() {
    let world = World::pulled();
    world
        .atomic("images tag --storage ostree app:latest registry.example/app:2")
        .ok();
    let ran = world.atomic("images list -q").ok();
    assert_eq!(ran.stdout, format!("{0}\n{0}\n", &world.id()[..12]));
    let ran = world
        .atomic("images tag foobar123:latest f:latest")
        .fails(1);
    assert_eq!(
        ran.stderr,
        format!("Cannot find image foobar123:latest.\n{NOT_ROOT}")
    );
}

#[test]
fn info_and_version_print_what_the_labels_say() {
    let world = World::pulled();
    let labels = "Image Name: docker.io/library/app:latest\nRelease: 7\nVersion: 3.1\natomic.type: system\nsummary: an app\n\n";
    for words in [
        "images info app",
        "info docker.io/app",
        "info --storage ostree oci:app",
    ] {
        assert_eq!(world.atomic(words).ok().stdout, labels, "{words}");
    }
    assert_eq!(
        world.atomic("info --remote docker.io/app").ok().stdout,
        labels
    );
    let ran = world.atomic("info --remote --storage ostree app").fails(1);
    assert_eq!(
        ran.stderr,
        "The --remote option cannot be used with the 'ostree' storage option.\nSome operations for 'info' require root access.\n"
    );
    let version = format!(
        "{:<37} {:<9} {:<10}\n{:<37} {:<9} {}\n\n",
        "IMAGE NAME",
        "VERSION",
        "IMAGE ID",
        "docker.io/library/app:latest",
        "3.1-7",
        &world.id()[..12]
    );
    for words in ["images version app", "version --storage ostree app"] {
        assert_eq!(world.atomic(words).ok().stdout, version, "{words}");
    }
    let ran = world.atomic("info this-is-not-a-real-image").fails(1);
    ran.err_has("Unable to find 'this-is-not-a-real-image' in the following backends: ostree\n");
}

#[test]
fn images_are_updated() {
    needs!(Registry, Ostree);
    let (home, registry) = (Home::new(), Registry::start());
    let push = |text: &str, name: &str| {
        let folder = home.join(format!("layout-{text}-{}", name.replace(':', "-")));
        Layout::with(&folder, &app(text));
        registry.push_layout(&folder, name);
        let id = crate::support::digest(&app(text).config_bytes());
        id["sha256:".len()..].to_owned()
    };
    let old = push("one", "app:latest");
    push("one", "still:latest");
    let atomic = |words: &str| home.berth(std::iter::once("atomic").chain(words.split(' ')));
    let host = registry.host();
    for name in ["app", "still"] {
        atomic(&format!("pull {host}/{name}")).ok();
    }
    atomic(&format!("images tag {host}/app app:3")).ok();
    let new = push("two", "app:latest");
    let still = crate::support::digest(&app("one").config_bytes());
    let still = &still["sha256:".len()..];
    assert_eq!(old, still, "the same image");
    let ran = atomic("images update --all --storage ostree").ok();
    let line = |name: &str, before: &str, after: &str, status: &str| {
        format!("{name:<50} {before:<32} {after:<32} {status:<15}\n")
    };
    assert!(
        ran.stdout.starts_with(&format!(
            "Checking image {host}/app:latest...\nChecking image {host}/still:latest...\n"
        )),
        "{}",
        ran.stdout
    );
    let table = format!(
        "\nSUMMARY\n\n{}{}{}",
        line(
            "Image",
            "Image ID before update",
            "Image ID after update",
            "Status"
        ),
        line(
            &format!("{host}/app:latest"),
            &old[..32],
            &new[..32],
            "Updated now"
        ),
        line(
            &format!("{host}/still:latest"),
            &old[..32],
            &old[..32],
            "Updated"
        ),
    );
    assert!(ran.stdout.contains(&table), "{}\n{table}", ran.stdout);
    for (words, text) in [
        (
            "images update nothing",
            "nothing not found locally.  Unable to update",
        ),
        ("images update -a", "Please specify --storage"),
        (
            "images update -a x",
            "Cannot specify both --all and an image name",
        ),
        (
            "images update -a -f",
            "Cannot specify both --all and --force",
        ),
    ] {
        let ran = atomic(words).fails(1);
        assert_eq!(ran.stderr, format!("{text}\n{NOT_ROOT}"), "{words}");
    }
    let ran = atomic(&format!("images update -f {host}/app")).fails(1);
    ran.err_has("--force is not supported by ostree images\n");
    atomic(&format!("images update {host}/app")).ok();
    Ostree::of(&home).fsck();
}
