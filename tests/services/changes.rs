//! Installing, updating, rolling back and uninstalling.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::example::{berth, checkouts, image, install, tmpfiles, unit};
use crate::support::{Home, read_json};

#[test]
fn an_installation_writes_what_it_lists() {
    let home = Home::new();
    let source = image(&home, "one");
    let (unit, tmpfiles) = (unit(&home), tmpfiles(&home));
    let slot = checkouts(&home).join("web.0");
    let shown = berth(&home, &["install", "--display", "--name", "web", &source]).ok();
    let listed = format!(
        "Extracting to {}\nunit       {}\ntmpfiles   {}\ntemporary  {}\n",
        slot.display(),
        unit.display(),
        tmpfiles.display(),
        home.join(".data/web").display()
    );
    assert_eq!(shown.stdout, listed);
    assert!(!checkouts(&home).exists(), "nothing was written");
    let done = install(&home, &source).ok();
    assert!(done.stderr.contains(&listed), "{}", done.stderr);
    assert_eq!(
        done.stdout,
        format!(
            "systemctl --user daemon-reload\nsystemd-tmpfiles --user --create {}\nsystemctl --user enable web.service\n",
            tmpfiles.display()
        )
    );
    assert!(
        done.stderr
            .contains(&format!("Created file {}\n", unit.display()))
    );
    let text = fs::read_to_string(&unit).unwrap();
    assert!(text.contains("Description=web says one\n"), "{text}");
    assert!(text.contains(&format!("WorkingDirectory={}\n", slot.display())));
    assert_eq!(fs::read_to_string(slot.join("web.service")).unwrap(), text);
    assert_eq!(fs::read_link(checkouts(&home).join("web")).unwrap(), slot);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&checkouts(&home)), 0o700);
    assert_eq!((mode(&slot), mode(&slot.join("info"))), (0o700, 0o600));
    assert!(
        fs::metadata(slot.join("rootfs/usr/share/common"))
            .unwrap()
            .nlink()
            > 1
    );
    let info = read_json(&slot.join("info"));
    assert_eq!(info["values"]["WORD"], "one");
    assert_eq!(info["berth-source"], source);
    let again = install(&home, &source).ok();
    assert_eq!(again.stdout, "web already present\n");
}

#[test]
fn updates_follow_the_image_and_keep_what_was_set() {
    let home = Home::new();
    let source = image(&home, "one");
    install(&home, &source).ok();
    let uuid = || read_json(&checkouts(&home).join("web/info"))["values"]["UUID"].clone();
    let first = uuid();
    let update = |args: &[&str]| {
        let args = [&["update", "--no-systemd", "web"], args].concat();
        berth(&home, &args)
    };
    assert_eq!(
        update(&[]).ok().stdout,
        "Latest version already installed.\n"
    );
    image(&home, "two");
    let checked = update(&["--check"]).ok();
    assert!(
        checked.stdout.contains("web: WORD one -> two\n"),
        "{}",
        checked.stdout
    );
    let slot = |number: u32| checkouts(&home).join(format!("web.{number}"));
    assert!(!slot(1).exists());
    let is_now = |number: u32| format!("web is now {}\n", slot(number).display());
    update(&[]).ok().out_has(&is_now(1));
    let text = || fs::read_to_string(unit(&home)).unwrap();
    assert!(text().contains("web says two"));
    update(&["--set", "WORD=mine"]).ok().out_has(&is_now(0));
    image(&home, "three");
    update(&[]).ok().out_has(&is_now(1));
    assert!(text().contains("web says mine"));
    assert_eq!(uuid(), first);
    berth(&home, &["rollback", "--no-systemd", "web"])
        .ok()
        .out_has(&is_now(0));
    berth(&home, &["rollback", "--no-systemd", "web"])
        .ok()
        .out_has(&is_now(1));
    let all = berth(&home, &["update", "--no-systemd", "--all"]).ok();
    assert_eq!(all.stdout, "Latest version already installed.\n");
}

#[test]
fn an_uninstallation_leaves_nothing() {
    let home = Home::new();
    let source = image(&home, "one");
    install(&home, &source).ok();
    berth(&home, &["rmi", "--no-gc", "-f", "layout-web"]).run();
    let done = berth(&home, &["uninstall", "--no-systemd", "web"]).ok();
    assert_eq!(
        done.stdout,
        format!(
            "systemctl --user stop web.service\nsystemctl --user disable web.service\nsystemctl --user daemon-reload\nsystemd-tmpfiles --user --remove {}\n",
            checkouts(&home).join("web.0/tmpfiles-web.conf").display()
        )
    );
    assert!(!unit(&home).exists() && !tmpfiles(&home).exists());
    let left: Vec<_> = fs::read_dir(checkouts(&home))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(left, [".berth"]);
    let used = home.repo().join("refs/heads/berth/used");
    assert_eq!(fs::read_dir(used).unwrap().count(), 0);
    let repaired = berth(&home, &["repair", "--no-systemd"]).ok();
    assert_eq!(repaired.stdout, "nothing to repair\n");
}

#[test]
fn gc_keeps_what_a_deployment_needs() {
    let home = Home::new();
    let source = image(&home, "one");
    install(&home, &source).ok();
    let name = read_json(&checkouts(&home).join("web/info"))["image"].clone();
    let name_of = name.as_str().unwrap();
    let removed = berth(&home, &["rmi", name_of]).fails(1).one_error();
    let wanted = format!("error: cannot remove image {name_of}: it is in use by web\n");
    assert!(removed.stderr.starts_with(&wanted), "{}", removed.stderr);
    let images = berth(&home, &["images", "--json"]).ok().json();
    assert_eq!(images[0]["used_by"], serde_json::json!(["web"]));
    berth(&home, &["rmi", "-f", name.as_str().unwrap()]).ok();
    berth(&home, &["gc"]).ok();
    berth(&home, &["update", "--no-systemd", "--set", "WORD=x", "web"]).ok();
    assert!(checkouts(&home).join("web/rootfs/bin/say").is_file());
}
