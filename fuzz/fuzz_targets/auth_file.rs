//! Auth files and what `login` takes: no bytes panic, what is found was JSON, and a name means itself.
#![no_main]

use fetch::AuthKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &str, &[u8])| {
    let (is_old, name, bytes) = input;
    let known: AuthKey = "h.x/a/b".parse().expect("a namespace");
    let named = name.parse::<AuthKey>().ok();
    if let Some(key) = &named {
        let printed = key.to_string();
        assert_eq!(printed.parse::<AuthKey>().as_ref().ok(), Some(key), "{printed:?}");
    }
    for key in [Some(known), named].into_iter().flatten() {
        if fetch::auth_file_user(bytes, is_old, &key).is_some() {
            let object = serde_json::from_slice::<serde_json::Map<_, _>>(bytes);
            assert!(object.is_ok(), "another parser takes it too");
        }
    }
});
