//! What a container of root's may do with devices, where control groups are version 2: this machine's may be hybrid, so the
//! tree is mounted for the test alone. It has no controllers then, and a program needs none.

use std::process::Command;

use serde_json::{Value, json};

use super::World;
use crate::needs;
use crate::support::user::berth;

/// Prints which of three devices the container can open.
const OPENS: &str =
    "for it in null kmsg node; do (: </dev/$it) 2>/dev/null && echo $it; done; true";

/// Runs a script as root in a group of its own, below the only tree. `b` is `berth oci`.
fn unified(world: &World, script: &str) -> (String, String) {
    let setup = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
        g=/sys/fs/cgroup/berth-dev-$$; mkdir $g
        trap 'echo $$ >/sys/fs/cgroup/cgroup.procs; find $g -depth -type d -exec rmdir {} \\;' EXIT
        echo $$ >$g/cgroup.procs
        cd $WHERE
        b() { $BERTH --run-dir $WHERE/run oci \"$@\"; }";
    let out = Command::new("unshare")
        .args(["-m", "sh", "-euc", &format!("{setup}\n{script}")])
        .env("BERTH", berth())
        .env("WHERE", world.home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}\n{err}");
    (said, err)
}

/// A bundle that is given the kernel's messages twice: the host's node, and one of its own.
fn bundle(world: &World, name: &str, script: &str, rules: Value) {
    world.bundle(name, script, |config| {
        let kmsg = json!({"destination": "/dev/kmsg", "type": "bind", "source": "/dev/kmsg", "options": ["bind"]});
        config["mounts"].as_array_mut().unwrap().push(kmsg);
        config["linux"]["devices"] =
            json!([{"path": "/dev/node", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]);
        config["linux"]["resources"] = json!({ "devices": rules });
        // Without it the driver itself may refuse.
        let sets = config["process"]["capabilities"].as_object_mut().unwrap();
        for set in ["bounding", "effective", "permitted"] {
            sets[set].as_array_mut().unwrap().push(json!("CAP_SYSLOG"));
        }
    });
}

#[test]
fn a_container_of_roots_opens_what_its_rules_allow() {
    needs!(Images, Root);
    let world = World::of_root();
    let none = json!({"allow": false, "access": "rwm"});
    let kmsg = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"});
    bundle(
        &world,
        "open",
        OPENS,
        json!([none, {"allow": true, "access": "rwm"}]),
    );
    bundle(&world, "shut", OPENS, json!([none]));
    bundle(&world, "some", OPENS, json!([none, kmsg]));
    bundle(&world, "path", OPENS, json!([none]));
    let path = world.home.join("path/config.json");
    let mut config = crate::support::read_json(&path);
    config["linux"]["cgroupsPath"] = json!(format!("/berth-dev-path-{}", std::process::id()));
    std::fs::write(&path, config.to_string()).unwrap();
    let (said, err) = unified(
        &world,
        "for it in open shut some path; do echo $it:; b run -b $it $it; done
         find $g -mindepth 1 -type d; ls /sys/fs/cgroup | grep berth-dev-path || true",
    );
    let all = "null\nkmsg\nnode\n";
    assert_eq!(
        said,
        format!("open:\n{all}shut:\nnull\nsome:\n{all}path:\nnull\n"),
        "{err}"
    );
    assert_eq!(err, "", "nothing is left to say");
}

#[test]
fn who_comes_later_has_the_same_rules() {
    needs!(Images, Root);
    let world = World::of_root();
    let none = json!([{"allow": false, "access": "rwm"}]);
    bundle(&world, "web", super::STAYS, none);
    let script = format!(
        "b run -d --pid-file pid -b web web >$WHERE/out 2>&1
         sed 's,.*/,group ,' /proc/$(cat pid)/cgroup | grep berth-
         b exec web sh -c '{OPENS}'
         cat $g/cgroup.subtree_control; grep -c ^$$'$' $g/cgroup.procs
         b delete -f web; find $g -mindepth 1 -type d"
    );
    let (said, err) = unified(&world, &script);
    assert_eq!(said, "group berth-web\nnull\n1\n", "{err}");
    assert_eq!(err, "");
}

#[test]
fn nothing_is_said_where_the_kernel_forbids_it_anyway() {
    needs!(Images, Userns);
    let world = World::of_user();
    world.bundle("b", "mknod /tmp/node c 1 11 || echo no", |config| {
        config["root"]["readonly"] = json!(false);
        config["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
    });
    let ran = world.oci(&["run", "-b", "b", "b"]).ok();
    assert_eq!(ran.text(), "no");
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("Operation not permitted"),
        "{}",
        ran.stderr
    );
}
