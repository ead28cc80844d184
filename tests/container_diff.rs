//! `berth diff CONTAINER`.

use crate::needs;
use crate::run::busybox;

#[test]
fn what_a_container_changed_is_told_and_nothing_of_ours() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let run = |name: &str, flags: &[&str], script: &str| {
        let args = [
            &["run", "--name", name][..],
            flags,
            &["busybox", "sh", "-c", script],
        ]
        .concat();
        home.berth(args).ok();
        home.berth(["diff", name]).ok().text().to_owned()
    };
    assert_eq!(
        run("idle", &["-v", "/a/b/c", "--tmpfs", "/t/u"], "true"),
        ""
    );
    let script = "mkdir -p /n/m && touch /n/m/f && rm /etc/group && echo x >>/etc/passwd && rm -r /bin/../etc/nothing 2>/dev/null; true";
    assert_eq!(
        run("busy", &[], script),
        "C /etc\nD /etc/group\nC /etc/passwd\nA /n\nA /n/m\nA /n/m/f"
    );
    let shown = home.berth(["diff", "--format", "json", "busy"]).ok().json();
    assert_eq!(
        shown,
        serde_json::json!({
            "changed": ["/etc", "/etc/passwd"], "added": ["/n", "/n/m", "/n/m/f"], "deleted": ["/etc/group"]
        })
    );
    home.berth(["diff", "nothing"])
        .fails(1)
        .one_error()
        .err_has("container nothing not found");
    home.berth(["rm", "idle", "busy"]).ok();
}

#[test]
fn files_of_other_ids_are_told() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = busybox();
    let script = "mkdir /p && touch /p/f && chown -R 12:34 /p && chmod 0 /p";
    home.berth([
        "run", "--ids", "range", "--name", "box", "busybox", "sh", "-c", script,
    ])
    .ok();
    assert_eq!(home.berth(["diff", "box"]).ok().text(), "A /p\nA /p/f");
    home.berth(["rm", "box"]).ok();
}
