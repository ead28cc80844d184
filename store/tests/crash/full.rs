//! A full disk, or one that fails, at every call that can meet one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use store::fault::{Step, Watch, watch};

use crate::work::{self, Work, check, collect, inventory, perform, prepare};

/// Makes call number `at` of the chosen steps fail, and all later ones too, as a full disk does.
struct FailFrom {
    at: u64,
    steps: &'static [Step],
    errno: Errno,
    seen: AtomicU64,
    below: std::path::PathBuf,
}

impl Watch for FailFrom {
    fn around(
        &self,
        step: Step,
        path: &Path,
        _: Option<&Path>,
        go: &mut dyn FnMut() -> bool,
    ) -> Result<(), Errno> {
        // Other tests of this process are not meant.
        if path.starts_with(&self.below)
            && self.steps.contains(&step)
            && self.seen.fetch_add(1, Ordering::SeqCst) + 1 >= self.at
        {
            return Err(self.errno);
        }
        go();
        Ok(())
    }
}

/// Fails one operation at each of its calls; how often.
fn fail_everywhere(work: Work, steps: &'static [Step], errno: Errno, text: &str) -> u64 {
    let temp = crate::scratch();
    let template = temp.path().join("template");
    std::fs::create_dir(&template).expect("template");
    prepare(work, &template);
    let before = inventory(&template);
    collect(&template).expect("gc");
    let cleaned = inventory(&template);
    for at in 1.. {
        let place = temp.path().join(format!("fail-{at}"));
        work::copy(&template, &place);
        let failing = Arc::new(FailFrom {
            at,
            steps,
            errno,
            seen: AtomicU64::new(0),
            below: place.clone(),
        });
        watch(Some(failing));
        let result = perform(work, &place, &|_| {});
        watch(None);
        let when = format!("{} failing from call {at}", work.name());
        let Err(error) = result else {
            return at - 1;
        };
        let said = format!(
            "{error}: {:?}",
            std::error::Error::source(&error).map(ToString::to_string)
        );
        assert!(said.starts_with("cannot "), "{when}: {said}");
        assert!(said.contains(text), "{when}: {said}");
        check(&place, &when);
        let left = inventory(&place);
        assert!(
            !left.iter().any(|path| path.starts_with("repo/tmp")),
            "{when}: staging stays"
        );
        assert_eq!(
            before.difference(&left).next(),
            None,
            "{when}: something is lost"
        );
        // The next try finds the same disk with room.
        let again = temp.path().join(format!("again-{at}"));
        work::copy(&place, &again);
        perform(work, &again, &|_| {}).unwrap_or_else(|error| panic!("{when}, again: {error}"));
        check(&again, &when);
        // Without one, gc gives back what the failed one took; finished layers are what a next try would use.
        collect(&place).expect("gc");
        if left.iter().any(|path| path.ends_with("ociimage/one")) {
            // The failure came behind the commit point: the image is there, and whole.
            assert!(
                steps.contains(&Step::SyncDir),
                "{when}: the image has its name"
            );
        } else {
            let stays: Vec<_> = inventory(&place).difference(&cleaned).cloned().collect();
            assert!(
                stays.is_empty(),
                "{when}: space is not given back: {stays:?}"
            );
        }
        std::fs::remove_dir_all(&place).expect("remove");
        std::fs::remove_dir_all(&again).expect("remove");
    }
    unreachable!("some call is the last")
}

const NEEDS_ROOM: &[Step] = &[
    Step::Create,
    Step::Write,
    Step::MakeDir,
    Step::Link,
    Step::Symlink,
];

#[test]
fn a_full_disk_and_a_failing_one_lose_nothing() {
    let _alone = crate::alone();
    let full = "No space left on device";
    for (work, at_least) in [(Work::Pull, 60), (Work::Commit, 10)] {
        let failures = fail_everywhere(work, NEEDS_ROOM, Errno::NOSPC, full);
        assert!(failures >= at_least, "{}: {failures} failures", work.name());
    }
    let syncs = &[Step::Sync, Step::SyncDir, Step::SyncAll];
    let failures = fail_everywhere(Work::Pull, syncs, Errno::IO, "Input/output error");
    assert!(failures >= 10, "{failures} failures");
}
