//! Links that come and go while a container is made. Each test first wins its race against what does not protect itself,
//! and says how often the links were swapped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::needs;
use crate::run::{busybox, no_containers, run};
use crate::support::Home;
use crate::support::ostree::Ostree;

/// How many containers are started in a race.
const RUNS: usize = 30;

/// Two names that change places for as long as it lives.
struct Swapper {
    ends: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    fn start(one: PathBuf, other: PathBuf) -> Self {
        let (ends, swaps) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (end, count) = (Arc::clone(&ends), Arc::clone(&swaps));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                // The machine is others' too, and a name must stay long enough to be met.
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
        });
        Self {
            ends,
            swaps,
            thread: Some(thread),
        }
    }

    /// How often they have changed places.
    fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Starts containers with a volume in a place that another volume's owner swaps for `link`. Gives how many of them ran.
fn mount_into_a_swapped_place(home: &Home, link: &str) -> usize {
    let outside = home.join("outside");
    home.sh(&format!(
        "rm -rf outside evil inner; mkdir -p outside evil/x inner; echo host >outside/file; echo inner >inner/file; ln -s {link} evil/l"
    ))
    .ok();
    let swapper = Swapper::start(home.join("evil/x"), home.join("evil/l"));
    // The control: who makes the place by its path is led out.
    let led_out = (0..200_000).find(|turn| {
        fs::create_dir_all(home.join(format!("evil/x/{turn}"))).ok();
        names(&outside).len() > 1
    });
    assert!(led_out.is_some(), "the race was never won");
    for name in names(&outside).iter().filter(|name| *name != "file") {
        fs::remove_dir(outside.join(name)).unwrap();
    }
    let before = swapper.swaps();
    let mut ran = 0;
    for turn in 0..RUNS {
        let inner = format!("./inner:/evil/x/y{turn}");
        let script = "cat /etc/hostname >/dev/null && head -n 1 /etc/passwd; cat /evil/x/y*/file; echo new >/evil/x/made";
        let args = [
            "-v",
            "./evil:/evil",
            "-v",
            &inner,
            "busybox",
            "sh",
            "-c",
            script,
        ];
        let said = run(home, &args).run();
        if said.stdout.starts_with("root:x:0:0:root:/root:/bin/sh\n") {
            ran += 1;
        } else {
            assert_eq!(said.stdout, "", "it runs in another root");
            assert_eq!(said.exit(), 125, "{}", said.stderr);
        }
        assert!(!said.stdout.contains("host"), "{}", said.stdout);
        assert_eq!(names(&outside), ["file"], "made on the host");
    }
    let swaps = swapper.swaps() - before;
    assert!(swaps > 1000, "only {swaps} swaps");
    ran
}

/// runc resolved where a volume goes, and mounted it there after that had become a link.
#[test]
fn cve_2021_30465_a_place_that_is_swapped_stays_inside() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let outside = home.join("outside").display().to_string();
    let ran = mount_into_a_swapped_place(&home, &outside);
    assert!(ran > 0, "not one container ran");
    no_containers(&home);
}

/// The same by a way up, whereby runc made empty directories on the host.
#[test]
fn cve_2024_45310_nothing_is_made_outside() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let up = format!(
        "../../../../../../../../..{}",
        home.join("outside").display()
    );
    let ran = mount_into_a_swapped_place(&home, &up);
    assert!(ran > 0, "not one container ran");
    no_containers(&home);
}

/// Masks are made of `/dev/null`, and whoever swaps that chooses what is mounted: here with a volume as `/dev`.
#[test]
fn cve_2025_31133_masks_hold_while_dev_null_is_swapped() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh("mkdir dev && : >dev/null && ln -s /etc/passwd dev/l")
        .ok();
    let fine = "1:3\nroot:x:0:0:root:/root:/bin/sh\n";
    let swapper = Swapper::start(home.join("dev/null"), home.join("dev/l"));
    // The control: what opens the path gets the other file.
    let read = (0..200_000).any(|_| fs::read(home.join("dev/null")).is_ok_and(|it| !it.is_empty()));
    assert!(read, "the race was never won");
    let before = swapper.swaps();
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list; do test -e $f && stat -c %t:%T $f; done | sort -u
        head -n 1 /etc/passwd";
    let args = ["-v", "./dev:/dev", "busybox", "sh", "-c", script];
    let mut ran = 0;
    for _ in 0..RUNS {
        // Links of berth's own that the last container left.
        home.sh("cd dev && rm -rf fd std* ptmx pts shm mqueue full random tty urandom zero core console").ok();
        let said = run(&home, &args).run();
        if said.exit() == 0 {
            // Where the link was met, the device lies on the file that it names inside.
            assert!(["1:3\n", fine].contains(&&*said.stdout), "{}", said.stdout);
            ran += 1;
        } else {
            assert_eq!(
                (said.exit(), said.stdout.as_str()),
                (125, ""),
                "{}",
                said.stderr
            );
        }
    }
    let swaps = swapper.swaps() - before;
    assert!(swaps > 1000, "only {swaps} swaps");
    assert!(ran > 0, "not one container ran");
    no_containers(&home);
}

/// A volume that was a directory when the container was created, and is a link to the store when it starts: with time
/// between, and without.
#[test]
fn a_volume_that_becomes_a_link_is_not_followed() {
    needs!(Images, Userns, Overlay, Ostree);
    let home = busybox();
    home.sh("mkdir -p share/x && echo own >share/x/file").ok();
    let script = "cat /x/file; ls /x; touch /x/broken";
    let args = [
        "run",
        "--name",
        "box",
        "-v",
        "./share/x:/x",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    home.berth(args).ok().out_has("own\n");
    home.sh("rm -rf share/x && ln -s ../root/repo share/x && ls share/x/objects >/dev/null")
        .ok();
    let why = "a link has come into its way since the container was created";
    home.berth(["start", "-a", "box"])
        .fails(125)
        .one_error()
        .err_has(why);
    home.write("put", "broken");
    home.berth(["cp", "put", "box:/x/put"])
        .fails(1)
        .one_error()
        .err_has(why);
    home.berth(["cp", "box:/x/config", "-"])
        .fails(1)
        .one_error()
        .err_has(why);
    home.sh("rm share/x && mkdir share/x && echo again >share/x/file")
        .ok();
    home.berth(["start", "-a", "box"]).ok().out_has("again\n");
    // Now while it starts: to the store, and to what no container was ever given.
    home.sh("mkdir secret && echo host >secret/file").ok();
    for target in ["../root/repo", "../secret"] {
        home.sh(&format!("ln -s {target} share/l")).ok();
        let swapper = Swapper::start(home.join("share/x"), home.join("share/l"));
        // The control: looking first does not help who opens by the path afterwards.
        let fooled = (0..200_000).any(|_| {
            let path = home.join("share/x");
            fs::canonicalize(&path).is_ok_and(|it| it == path)
                && fs::read_to_string(path.join("file")).is_ok_and(|text| text != "again\n")
                || path.join("objects").exists()
        });
        assert!(fooled, "the race was never won");
        let (before, mut ran) = (swapper.swaps(), 0);
        for _ in 0..RUNS {
            let said = home.berth(["start", "-a", "box"]).run();
            ran += usize::from(said.stdout.starts_with("again\n"));
            let refused = said.exit() == 125 && said.stdout.is_empty();
            assert!(
                refused || said.stdout.starts_with("again\n"),
                "{}{}",
                said.stdout,
                said.stderr
            );
            assert!(
                !home.repo().join("broken").exists(),
                "the store was written to"
            );
        }
        assert!(ran > 0, "not one container ran");
        let swaps = swapper.swaps() - before;
        assert!(swaps > 1000, "only {swaps} swaps");
        drop(swapper);
        home.sh("test -L share/l || { rm share/x; mv share/l share/x; }; rm -f share/l")
            .ok();
    }
    home.berth(["rm", "box"]).ok();
    home.berth(["repo", "fsck"]).ok();
    Ostree::of(&home).fsck();
    no_containers(&home);
}
