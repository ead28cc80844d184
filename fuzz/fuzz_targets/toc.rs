//! Tables of contents of layers: whatever one says, what would be fetched lies in the blob, in order and apart, and is
//! asked for in so many requests.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| {
    let (end, json) = input;
    for ranges in fetch::planned(json, end.into()) {
        assert!(ranges.len() <= fetch::limits::RANGE_REQUESTS_MAX);
        let mut at = None;
        for range in ranges {
            assert!(at.is_none_or(|at| at < range.start) && range.start < range.end);
            assert!(range.end <= u64::from(end));
            at = Some(range.end);
        }
    }
});
