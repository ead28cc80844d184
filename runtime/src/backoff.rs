//! Whether and when a container that has ended is started again. Pure.

use crate::life::Restart;

/// The first pause, in nanoseconds.
const FIRST_NS: u64 = 100_000_000;
/// The longest pause.
const LONGEST_NS: u64 = 60_000_000_000;
/// A container that ran so long had recovered: the next pause is the first again.
const RECOVERED_NS: u64 = 10_000_000_000;

/// The restarts of one container since its supervisor started it.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    pause_ns: u64,
    restarts: u32,
}

impl Backoff {
    /// How many nanoseconds to wait before the container is started again that ended with `code` after `ran_ns`; `None`
    /// when it has ended for good.
    pub(crate) fn next(&mut self, policy: Restart, code: u8, ran_ns: u64) -> Option<u64> {
        let again = match policy {
            Restart::No => false,
            Restart::Always | Restart::UnlessStopped => true,
            Restart::OnFailure(None) => code != 0,
            Restart::OnFailure(Some(most)) => code != 0 && self.restarts < most,
        };
        if !again {
            return None;
        }
        self.restarts = self.restarts.saturating_add(1);
        self.pause_ns = if ran_ns >= RECOVERED_NS {
            FIRST_NS
        } else {
            self.pause_ns.saturating_mul(2).clamp(FIRST_NS, LONGEST_NS)
        };
        Some(self.pause_ns)
    }

    /// How many times it was started again.
    pub(crate) fn restarts(&self) -> u32 {
        self.restarts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..12)
            .filter_map(|_| backoff.next(Restart::Always, 0, 0))
            .map(|pause| pause / 1_000_000)
            .collect();
        assert_eq!(
            pauses,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000
            ]
        );
        assert_eq!(backoff.restarts(), 12);
        assert_eq!(
            backoff.next(Restart::UnlessStopped, 0, RECOVERED_NS),
            Some(FIRST_NS)
        );
    }

    #[test]
    fn policies_decide_by_code_and_count() {
        assert_eq!(Backoff::default().next(Restart::No, 1, 0), None);
        assert_eq!(
            Backoff::default().next(Restart::OnFailure(None), 0, 0),
            None
        );
        let mut twice = Backoff::default();
        let tries = (0..5).filter(|_| twice.next(Restart::OnFailure(Some(2)), 3, 0).is_some());
        assert_eq!(tries.count(), 2);
        assert_eq!(twice.restarts(), 2);
    }
}
