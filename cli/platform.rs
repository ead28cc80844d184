//! This host's platform, in the words of image indexes.

use store::oci::Platform;

/// The host's operating system and architecture, and the variant that its processor goes up to.
pub(crate) fn host() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", level()),
        "x86" => ("386", None),
        "aarch64" => ("arm64", Some("v8")),
        "arm" => {
            let machine = rustix::system::uname();
            ("arm", Some(arm(&machine.machine().to_string_lossy())))
        }
        "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
        "loongarch64" => ("loong64", None),
        other => (other, None),
    };
    Platform {
        os: "linux".into(),
        architecture: architecture.into(),
        variant: variant.map(Into::into),
    }
}

/// The level of the [x86-64 ABI](https://gitlab.com/x86-psABIs/x86-64-ABI) that the processor, and the kernel that saves
/// its registers, reach; `None` for the first.
fn level() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::is_x86_feature_detected as has;
        let second = has!("cmpxchg16b")
            && has!("popcnt")
            && has!("sse3")
            && has!("ssse3")
            && has!("sse4.1")
            && has!("sse4.2");
        let third = has!("avx")
            && has!("avx2")
            && has!("bmi1")
            && has!("bmi2")
            && has!("f16c")
            && has!("fma")
            && has!("lzcnt")
            && has!("movbe");
        let fourth = has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl");
        highest([second, third, fourth])
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// The highest level that is reached with all below it, of the second to the fourth.
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "levels are amd64's")
)]
fn highest(reached: [bool; 3]) -> Option<&'static str> {
    let levels = ["v2", "v3", "v4"];
    let count = reached.iter().take_while(|reached| **reached).count();
    levels.into_iter().take(count).next_back()
}

/// The variant of a 32-bit ARM by the kernel's name for the machine, e.g. `armv7l`.
fn arm(machine: &str) -> &'static str {
    match machine
        .strip_prefix("armv")
        .and_then(|rest| rest.chars().next())
    {
        Some('4' | '5') => "v5",
        Some('6') => "v6",
        // 64-bit processors run the 32-bit code of their own generation
        Some('8' | '9') => "v8",
        None if machine == "aarch64" => "v8",
        _ => "v7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_are_told_by_their_machine() {
        for (machine, variant) in [
            ("armv5tejl", "v5"),
            ("armv6l", "v6"),
            ("armv7l", "v7"),
            ("armv7hl", "v7"),
            ("armv8l", "v8"),
            ("aarch64", "v8"),
            ("unheard-of", "v7"),
        ] {
            assert_eq!(arm(machine), variant, "{machine}");
        }
    }

    #[test]
    fn a_level_needs_those_below_it() {
        assert_eq!(highest([false, false, false]), None);
        assert_eq!(highest([false, true, true]), None);
        assert_eq!(highest([true, false, true]), Some("v2"));
        assert_eq!(highest([true, true, false]), Some("v3"));
        assert_eq!(highest([true, true, true]), Some("v4"));
    }
}
