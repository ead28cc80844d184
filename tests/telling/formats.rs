//! `--format` and `--noheading` of the lists besides `ps` and `inspect`.

use crate::needs;
use crate::run::busybox;
use crate::support::Home;

#[test]
fn volumes_are_told_as_asked() {
    let home = Home::new();
    for name in ["b", "a"] {
        home.berth(["volume", "create", name]).ok();
    }
    let said = |args: &[&str]| home.berth(["volume"].iter().chain(args)).ok().stdout;
    let place = home.root().join("volumes/a").display().to_string();
    assert_eq!(
        said(&["ls", "--format", "{{.Name}} {{.Driver}}"]),
        "a local\nb local\n"
    );
    assert_eq!(
        said(&["ls", "--format", "table {{.Driver}}\\t{{.Name}}"]),
        "DRIVER  VOLUME NAME\nlocal   a\nlocal   b\n"
    );
    assert_eq!(said(&["ls", "--noheading"]), "local  a\nlocal  b\n");
    let rows = home.berth(["volume", "ls", "--format", "json"]).ok().json();
    assert_eq!(
        (&rows[0]["Name"], &rows[1]["Scope"]),
        (&"a".into(), &"local".into())
    );
    assert_eq!(
        said(&["inspect", "-f", "{{.Mountpoint}} {{len .Labels}}", "a"]),
        format!("{place} 0\n")
    );
    let all = home.berth(["volume", "inspect", "--all"]).ok().json();
    assert_eq!(
        (all.as_array().map(Vec::len), &all[1]["Name"]),
        (Some(2), &"b".into())
    );
    home.berth(["volume", "inspect"]).fails(2);
    home.berth(["volume", "ls", "-q", "--format", "{{.Name}}"])
        .fails(2);
    home.berth(["volume", "ls", "--format", "{{.Nonsense}}"])
        .fails(1)
        .err_has("cannot use --format");
    home.berth(["volume", "inspect", "-f", "{{.Name", "a"])
        .fails(2)
        .err_has("cannot use --format");
}

#[test]
fn images_and_their_history_too() {
    needs!(Images);
    let home = busybox();
    home.berth(["tag", "busybox", "other:1"]).ok();
    let said = |args: &[&str]| home.berth(args).ok().stdout;
    let steps = said(&["history", "busybox", "--format", "{{.CreatedBy}}|{{.Size}}"]);
    assert_eq!(
        steps,
        "CMD [\"sh\"]|0B\nBusyBox from Debian's busybox-static|2.14MB\n"
    );
    let table = said(&[
        "history",
        "busybox",
        "--format",
        "table {{.ID}}\\t{{.Comment}}",
    ]);
    assert!(table.starts_with("IMAGE "), "{table}");
    let rows = home
        .berth(["history", "busybox", "--format", "json"])
        .ok()
        .json();
    assert_eq!(rows[0]["CreatedBy"], "CMD [\"sh\"]");
    home.berth(["history", "busybox", "--format", "json", "--json"])
        .fails(2);
    let names = |more: &[&str]| {
        let begin = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
        let args: Vec<&str> = begin.iter().chain(more).copied().collect();
        said(&args)
    };
    assert_eq!(names(&["other"]), "docker.io/library/other:1\n");
    assert_eq!(names(&["other:1"]), "docker.io/library/other:1\n");
    assert_eq!(names(&["other:2"]), "");
    assert_eq!(said(&["images", "-n"]).lines().count(), 2);
    assert_eq!(said(&["images"]).lines().count(), 3);
    assert_eq!(
        said(&["images", "other", "--format", "{{.Labels}} {{.Names}}"]),
        "map[] [docker.io/library/other:1]\n"
    );
}

#[test]
fn the_version_is_where_docker_has_it() {
    let home = Home::new();
    let version = home
        .berth(["version", "--format", "{{.Client.Version}}"])
        .ok();
    assert_eq!(
        format!("berth {}", version.stdout),
        home.berth(["version"]).ok().stdout
    );
    let all = home.berth(["version", "-f", "json"]).ok().json();
    assert_eq!(all["Client"]["Os"], "linux");
}
