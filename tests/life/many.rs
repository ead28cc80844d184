//! A thousand fast exits: none hangs, none is lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{World, berth};
use crate::needs;
use crate::run::no_containers;

const RUNS: usize = 1000;
const AT_ONCE: usize = 4;

#[test]
fn a_thousand_fast_exits_are_seen() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let (next, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= RUNS {
                        return;
                    }
                    one(&world, number);
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(seen.load(Ordering::Relaxed), RUNS);
    no_containers(&world);
}

/// Seven of ten in a foreground, the others on their own; some of these are waited for while they run, some afterwards.
fn one(world: &World, number: usize) {
    let name = format!("c{number}");
    match number % 10 {
        0..7 => {
            berth(world, "run --rm busybox true").ok();
        }
        7 => {
            world.run_d(&name, &["busybox", "true"]);
            assert_eq!(berth(world, &format!("wait {name}")).ok().stdout, "0\n");
            berth(world, &format!("rm {name}")).ok();
        }
        8 => {
            berth(world, &format!("create --name {name} busybox false")).ok();
            assert_eq!(
                berth(world, &format!("start -a {name}")).fails(1).stdout,
                ""
            );
            berth(world, &format!("rm {name}")).ok();
        }
        _ => {
            let ran = berth(world, &format!("run -d --rm --name {name} busybox true")).ok();
            // It may be gone by now, and that is all it may be.
            let waited = berth(world, &format!("wait {}", ran.text())).run();
            match waited.exit() {
                0 => assert_eq!(waited.stdout, "0\n"),
                _ => assert_eq!(
                    waited.stderr,
                    format!("error: container {} not found\n", ran.text())
                ),
            }
            super::until("it is removed", || !world.dir(ran.text()).exists());
        }
    }
}
