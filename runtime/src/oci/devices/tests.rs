//! The program against what it means: run by an interpreter of its few instructions, and by the kernel.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Runs a program as the kernel does. What it does not know, or that leads nowhere, is an error.
fn run(program: &[u8], kind: Kind, major: u32, minor: u32, access: u32) -> Result<bool, String> {
    let context = [access << 16 | kind as u32, major, minor];
    let mut registers = [0u64; 11];
    let mut at = 0;
    loop {
        let raw = program.chunks_exact(8).nth(at).ok_or("ran off the end")?;
        let (to, from) = (usize::from(raw[1] & 15), usize::from(raw[1] >> 4));
        let offset = i16::from_ne_bytes([raw[2], raw[3]]);
        let number = i32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]);
        let skip = usize::try_from(offset).map_err(|_| "jumps back")?;
        let (wide, narrow) = (i64::from(number).cast_unsigned(), number.cast_unsigned());
        at += 1;
        let mut jump = |taken: bool| at += if taken { skip } else { 0 };
        match raw[0] {
            0x61 if from == 1 => registers[to] = u64::from(context[skip / 4]),
            0xbf => registers[to] = registers[from],
            0xb7 => registers[to] = wide,
            0x54 => registers[to] = u64::from(registers[to] as u32 & narrow),
            0x74 => registers[to] = u64::from(registers[to] as u32 >> narrow),
            0x15 => jump(registers[to] == wide),
            0x55 => jump(registers[to] != wide),
            0x45 => jump(registers[to] & wide != 0),
            0x95 => return Ok(registers[0] != 0),
            other => return Err(format!("instruction {other:#x}")),
        }
    }
}

/// Whether something leads to every instruction: the kernel refuses others.
fn is_whole(program: &[u8]) -> bool {
    let code: Vec<&[u8]> = program.chunks_exact(8).collect();
    let mut reached = vec![false; code.len()];
    let mut next = vec![0];
    while let Some(at) = next.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        let offset = usize::from(u16::from_ne_bytes([code[at][2], code[at][3]]));
        match code[at][0] {
            0x95 => {}
            0x15 | 0x55 | 0x45 => next.extend([at + 1, at + 1 + offset]),
            _ => next.push(at + 1),
        }
    }
    reached.iter().all(|reached| *reached)
}

fn rules(list: &Value) -> Vec<Rule> {
    read(list).expect("rules")
}

/// `c 1:3 rw` as a question to the program of a list.
fn allows(list: &Value, question: &str) -> bool {
    let program = program::of(&rules(list));
    assert!(is_whole(&program), "{list}");
    let words: Vec<&str> = question.split([' ', ':']).collect();
    let kind = match words[0] {
        "b" => Kind::Block,
        _ => Kind::Char,
    };
    let bits = [('m', MAKE), ('r', READ), ('w', WRITE)];
    let asked = bits.iter().filter(|(letter, _)| words[3].contains(*letter));
    let access = asked.map(|(_, bit)| bit).sum();
    let number = |text: &str| text.parse().expect("a number");
    run(&program, kind, number(words[1]), number(words[2]), access).expect("an answer")
}

#[test]
fn the_last_rule_that_speaks_of_it_decides() {
    let none = json!({"allow": false, "access": "rwm"});
    let all = json!({"allow": true, "access": "rwm"});
    let kmsg = |allow, access| json!({"allow": allow, "type": "c", "major": 1, "minor": 11, "access": access});
    let disks = json!({"allow": true, "type": "b", "major": 8, "access": "r"});
    let table = [
        (json!([none]), "c 1:11 r", false),
        (json!([none]), "b 8:0 r", false),
        (json!([none]), "c 1:11 m", true),
        (json!([none]), "b 8:0 m", true),
        (json!([none]), "c 1:11 rm", false),
        (json!([none, kmsg(true, "r")]), "c 1:11 r", true),
        (json!([none, kmsg(true, "r")]), "c 1:11 w", false),
        (json!([none, kmsg(true, "r")]), "c 1:11 rw", false),
        (json!([none, kmsg(true, "r")]), "b 1:11 r", false),
        (json!([none, kmsg(true, "r")]), "c 1:12 r", false),
        (json!([none, kmsg(true, "r")]), "c 2:11 r", false),
        // Two rules that allow a part each allow both.
        (
            json!([none, kmsg(true, "r"), kmsg(true, "w")]),
            "c 1:11 rw",
            true,
        ),
        (json!([kmsg(true, "rw"), none]), "c 1:11 r", false),
        (json!([all, kmsg(false, "w")]), "c 1:11 r", true),
        // What is forbidden is not had by asking for more.
        (json!([all, kmsg(false, "w")]), "c 1:11 rw", false),
        (json!([all, kmsg(false, "w")]), "b 8:1 rw", true),
        (json!([all, kmsg(false, "w"), all]), "c 1:11 rw", true),
        (json!([none, disks]), "b 8:17 r", true),
        (json!([none, disks]), "b 8:17 w", false),
        (json!([none, disks]), "b 9:17 r", false),
        // A list that is not empty says what is allowed.
        (json!([disks]), "c 1:11 r", false),
        // Numbers below zero are any, and so is what is left out.
        (
            json!([{"allow": true, "type": "c", "major": -1, "minor": -1, "access": "r"}]),
            "c 9:9 r",
            true,
        ),
        (json!([all, {"allow": false}]), "c 9:9 r", false),
        (
            json!([all, {"allow": false, "type": "c"}]),
            "c 9:9 r",
            false,
        ),
        (json!([none, {"allow": true}]), "c 9:9 rw", true),
        (
            json!([none, {"allow": true, "type": "c"}]),
            "c 9:9 r",
            false,
        ),
    ];
    for (list, question, verdict) in table {
        assert_eq!(allows(&list, question), verdict, "{list}: {question}");
    }
}

#[test]
fn no_list_takes_the_usual_devices_away() {
    let none = json!([{"allow": true, "access": "rwm"}, {"allow": false, "access": "rwm"}]);
    let null = json!([{"allow": false, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]);
    for usual in [
        "1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:0", "136:77",
    ] {
        assert!(allows(&none, &format!("c {usual} rwm")), "{usual}");
        assert!(allows(&null, &format!("c {usual} rwm")), "{usual}");
        assert!(!allows(&none, &format!("b {usual} rw")), "{usual}");
    }
    // Memory, ports, the kernel's messages, a console of the host's, fuse, tun.
    for other in ["1:1", "1:4", "1:11", "4:0", "10:229", "10:200"] {
        assert!(!allows(&none, &format!("c {other} r")), "{other}");
    }
}

#[test]
fn a_list_that_forbids_nothing_needs_no_program() {
    let none = json!({"allow": false, "access": "rwm"});
    let all = json!({"allow": true, "access": "rwm"});
    let some = json!({"allow": false, "type": "b", "access": "w"});
    let table = [
        (json!(null), false),
        (json!([]), false),
        (json!([all]), false),
        (json!([none, some, all]), false),
        (json!([all, some]), true),
        (json!([none]), true),
        (json!([{"allow": true, "type": "c", "access": "rwm"}]), true),
    ];
    for (list, verdict) in table {
        assert_eq!(restricts(&rules(&list)), verdict, "{list}");
    }
}

#[test]
fn what_is_no_rule_is_named() {
    let whys = [
        (json!({}), "its linux.resources.devices is no list"),
        (json!([7]), "its linux.resources.devices[0] is no rule"),
        (
            json!([{}, {"type": "p"}]),
            "its linux.resources.devices[1].type is not a, b or c",
        ),
        (
            json!([{"type": 5}]),
            "its linux.resources.devices[0].type is not a, b or c",
        ),
        (
            json!([{"access": "rx"}]),
            "its linux.resources.devices[0].access is not of r, w and m",
        ),
        (
            json!([{"access": 7}]),
            "its linux.resources.devices[0].access is not of r, w and m",
        ),
        (
            json!([{"major": 4_294_967_295u32}]),
            "its linux.resources.devices[0].major is no device's number",
        ),
        (
            json!([{"minor": "1"}]),
            "its linux.resources.devices[0].minor is no device's number",
        ),
        (
            json!(vec![json!({}); RULES_MAX + 1]),
            "its linux.resources.devices has more than 500 rules",
        ),
    ];
    for (list, why) in whys {
        assert_eq!(read(&list), Err(why.to_owned()));
    }
}

/// Reads the rules forwards, one access at a time.
fn model(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: u32) -> bool {
    [MAKE, READ, WRITE]
        .into_iter()
        .filter(|bit| access & bit != 0)
        .all(|bit| {
            let mut verdict = false;
            for rule in rules.iter().chain(&ALWAYS) {
                let speaks = rule.kind.is_none_or(|it| it == kind)
                    && rule.major.is_none_or(|it| it == major)
                    && rule.minor.is_none_or(|it| it == minor)
                    && rule.access & bit != 0;
                if speaks {
                    verdict = rule.allow;
                }
            }
            verdict
        })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Block), Just(Kind::Char)]
}

fn rule() -> impl Strategy<Value = Rule> {
    let number = || proptest::option::of(prop_oneof![0..4u32, Just(i32::MAX.cast_unsigned())]);
    let parts = (
        any::<bool>(),
        proptest::option::of(kind()),
        number(),
        number(),
        0..=ALL,
    );
    parts.prop_map(|(allow, kind, major, minor, access)| Rule {
        allow,
        kind,
        major,
        minor,
        access,
    })
}

proptest! {
    #[test]
    fn programs_answer_as_the_rules_read(
        rules in proptest::collection::vec(rule(), 0..9),
        kind in kind(),
        major in prop_oneof![0..6u32, Just(136), any::<u32>()],
        minor in prop_oneof![0..13u32, any::<u32>()],
        access in 1..=ALL,
    ) {
        let program = program::of(&rules);
        prop_assert!(is_whole(&program));
        let answer = run(&program, kind, major, minor, access);
        prop_assert_eq!(answer, Ok(model(&rules, kind, major, minor, access)));
        if !restricts(&rules) && !rules.is_empty() {
            prop_assert!(model(&rules, kind, major, minor, access));
        }
    }
}

/// A group below a tree of version 2, gone at the end.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let name = format!("berth-{name}-{}", std::process::id());
        let dir = PathBuf::from(line.split(' ').nth(4)?).join(name);
        std::fs::create_dir(&dir).ok()?;
        Some(Self(dir))
    }

    /// What a shell in the group prints.
    fn sh(&self, script: &str) -> String {
        let script = format!("echo 0 >{}/cgroup.procs\n{script}", self.0.display());
        let out = Command::new("sh").args(["-c", &script]).output();
        let out = out.expect("a shell");
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).ok();
    }
}

/// A group of ours where the kernel takes programs from us. It says so when there is none.
fn group(name: &str) -> Option<Group> {
    let group = Group::new(name).filter(|_| sys::load_device_program(&program::of(&[])).is_ok());
    if group.is_none() {
        // Not through the test's own stderr, which is shown only when it fails.
        let line = b"SKIPPED: no control group of version 2 here, or bpf(2) is not permitted\n";
        std::io::stderr().write_all(line).ok();
    }
    group
}

#[test]
fn the_kernel_asks_the_program() {
    let Some(group) = group("devices") else {
        return;
    };
    let home = tempfile::tempdir().expect("a directory");
    let node = home.path().join("kmsg");
    let script = format!(
        "rm -f {node}; mknod {node} c 1 11 && echo made
         for it in /dev/null /dev/zero {node}; do (: <$it) && echo read; done 2>&1
         (: >>{node}) 2>/dev/null && echo written
         (: >>/dev/null) && echo null",
        node = node.display()
    );
    assert_eq!(
        group.sh(&script),
        "made\nread\nread\nread\nwritten\nnull\n",
        "without a program"
    );
    let none = json!({"allow": false, "access": "rwm"});
    assert_eq!(apply(&rules(&json!([none])), &group.0), None);
    let said = group.sh(&script);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        [lines[0], lines[1], lines[2], lines[4]],
        ["made", "read", "read", "null"],
        "{said}"
    );
    assert!(lines[3].contains("Operation not permitted"), "{said}");
    assert_eq!(lines.len(), 5, "{said}");
}

#[test]
fn the_kernel_takes_every_program() {
    let Some(group) = group("programs") else {
        return;
    };
    let config = ProptestConfig::with_cases(64);
    let lists = proptest::collection::vec(rule(), 0..9);
    let taken = |rules: Vec<Rule>| {
        let loaded = sys::load_device_program(&program::of(&rules));
        prop_assert!(loaded.is_ok(), "{loaded:?}");
        Ok(())
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&lists, taken).expect("all are taken");
    let long = json!({"allow": false, "type": "c", "major": 9, "minor": 9, "access": "rw"});
    let most = rules(&json!(vec![long; RULES_MAX]));
    assert_eq!(apply(&most, &group.0), None);
    let gone = group.0.join("gone");
    let said = apply(&most, &gone).expect("it is not there");
    assert_eq!(
        said,
        format!(
            "linux.resources.devices not applied: the kernel takes no program for {}: No such file or directory (os error 2)",
            gone.display()
        )
    );
}
