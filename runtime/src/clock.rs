//! The time, for processes of the runtime that stay around. Library calls are given the time instead.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// Nanoseconds since the boot: for pauses, which no change of the date may stretch.
pub(crate) fn uptime() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// What poll is to wait at most until the earliest of `deadlines`, which are of [`uptime`]'s kind.
pub(crate) fn until(deadlines: impl IntoIterator<Item = Option<u64>>) -> Option<Timespec> {
    let earliest = deadlines.into_iter().flatten().min()?;
    let left = earliest.saturating_sub(uptime());
    Some(Timespec {
        tv_sec: i64::try_from(left / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(left % 1_000_000_000).unwrap_or_default(),
    })
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let rest = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
