//! `WWW-Authenticate`: no text panics or loops, and nothing is read that was not there.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    let found = fetch::challenge_parts(header);
    assert!(found.len() * "basic".len() <= header.len());
    let read: usize = found.iter().flatten().map(String::len).sum();
    assert!(read <= header.len());
    for part in found.iter().flatten() {
        let mut rest = header.chars();
        assert!(part.chars().all(|c| rest.any(|other| other == c)), "{part:?}");
    }
});
