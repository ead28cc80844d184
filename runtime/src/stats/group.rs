//! What a control group tells of all processes in it, those that have ended too. Controllers that the group does not have
//! tell nothing.

use std::path::Path;

use super::{Transfer, Usage, keyed};
use crate::error::Result;
use crate::proc::read_optional;

/// What the group in `dir` tells.
pub(super) fn usage(dir: &Path) -> Result<Usage> {
    let read = |name: &str| read_optional(&dir.join(name));
    let number = |text: String| text.trim().parse::<u64>().ok();
    let io = read("io.stat")?;
    let has_io = dir.join("io.stat").exists();
    Ok(Usage {
        // There without any controller.
        cpu: keyed(&read("cpu.stat")?, "usage_usec").map(|us| us.saturating_mul(1000)),
        memory: number(read("memory.current")?),
        // `max` is no number.
        memory_limit: number(read("memory.max")?),
        pids: number(read("pids.current")?),
        block: has_io.then(|| block(&io)),
        ..Usage::default()
    })
}

/// All devices of `io.stat` together: `8:0 rbytes=1 wbytes=2 …`.
fn block(text: &str) -> Transfer {
    let sum = |key: &str| {
        let words = text.split_ascii_whitespace();
        let numbers = words.filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
        numbers.fold(0, u64::saturating_add)
    };
    Transfer {
        read: sum("rbytes="),
        written: sum("wbytes="),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_tells_what_its_controllers_know() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("written");
        };
        assert_eq!(usage(dir.path()).expect("read"), Usage::default());
        write("cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
        let cpu = Usage {
            cpu: Some(1_500_000),
            ..Usage::default()
        };
        assert_eq!(usage(dir.path()).expect("read"), cpu);
        write("memory.current", "4096\n");
        write("memory.max", "max\n");
        write("pids.current", "3\n");
        write("io.stat", "");
        let all = Usage {
            memory: Some(4096),
            pids: Some(3),
            block: Some(Transfer::default()),
            ..cpu
        };
        assert_eq!(usage(dir.path()).expect("read"), all);
        write("memory.max", "8192\n");
        write(
            "io.stat",
            "8:0 rbytes=10 wbytes=1 rios=9 wios=9 dbytes=9\n8:16 rbytes=20 wbytes=2\n",
        );
        let read = usage(dir.path()).expect("read");
        assert_eq!(read.memory_limit, Some(8192));
        let (read, written) = (30, 3);
        assert_eq!(
            usage(dir.path()).expect("read").block,
            Some(Transfer { read, written })
        );
    }
}
