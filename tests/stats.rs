//! `stats`: what containers use up, held against what the host's kernel says of their processes.

use std::fs;

use serde_json::Value;

use crate::exec::Idle;
use crate::life::{World, berth, until};
use crate::needs;
use crate::run::busybox;

/// Holds 32 MiB in one process, has burned some processor time, and has three processes.
const GREEDY: &str = "x=$(head -c 33554432 /dev/zero | tr '\\0' x); i=0; \
    while test $i -lt 200000; do i=$((i+1)); done; sleep 1000 & sleep 1000 & echo ready; wait; echo $x";

/// The number in `33.6MB` or `33.6MB / 16GB`.
#[track_caller]
fn bytes(text: &str) -> f64 {
    let text = text.split(' ').next().unwrap();
    let end = text.find(|c: char| c.is_alphabetic()).unwrap();
    let (number, unit) = text.split_at(end);
    let units = ["B", "kB", "MB", "GB", "TB"];
    let power = units.iter().position(|it| *it == unit).unwrap();
    number.parse::<f64>().unwrap() * 1000_f64.powi(i32::try_from(power).unwrap())
}

/// A number of the fields of `/proc/PID/stat` after the name.
fn stat(pid: i32, fields: &[usize]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = text.rsplit_once(") ").unwrap().1;
    let all: Vec<&str> = rest.split(' ').collect();
    fields
        .iter()
        .map(|field| all[*field].parse::<u64>().unwrap())
        .sum()
}

fn rss(pid: i32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024.0
}

/// The host's pids of its processes, one row for each.
#[track_caller]
fn pids(home: &crate::support::Home, name: &str) -> Vec<i32> {
    let said = home.berth(["top", name, "hpid"]).ok().stdout;
    said.lines()
        .skip(1)
        .map(|line| line.trim().parse().unwrap())
        .collect()
}

#[test]
fn the_numbers_are_those_of_the_kernel() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [
        &["--ids", "single"][..],
        &["--ids", "range", "-u", "nobody"],
    ] {
        if flags.contains(&"range") {
            needs!(Ranges);
        }
        let command = ["busybox", "sh", "-c", GREEDY];
        let idle = Idle::running(&home, "greedy", flags, &command);
        let _other = Idle::start(&home, "other", &[]);
        let all = pids(&home, "greedy");
        assert_eq!(all.len(), 3, "{all:?}");
        let template = "{{.PIDS}} {{.CPUNano}} {{.MemLimit}} {{.ContainerID}}";
        let args = ["stats", "--no-stream", "greedy", "--format"];
        let said = home.berth(args).args([template]).ok().stdout;
        let words: Vec<&str> = said.split_whitespace().collect();
        let [count, cpu, limit, id] = words.as_slice() else {
            panic!("{said:?}")
        };
        assert_eq!(*count, "3");
        let cpu: u64 = cpu.parse().unwrap();
        // Its own ticks, those of the two that made the text, and no more than a moment's.
        let init = all[0];
        let ticks: u64 = all.iter().map(|pid| stat(*pid, &[11, 12, 13, 14])).sum();
        assert!(ticks >= 5, "it has burned something: {ticks}");
        assert!(
            (ticks - 5..=ticks + 5).contains(&(cpu / 10_000_000)),
            "{cpu} of {ticks}"
        );
        let host = fs::read_to_string("/proc/meminfo").unwrap();
        let kib = host.split_whitespace().nth(1).unwrap();
        let host: u64 = kib.parse::<u64>().unwrap() * 1024;
        assert!(limit.parse::<u64>().unwrap() <= host);
        assert_eq!(id.len(), 64);
        let row = home.berth(args).args(["json"]).ok().json();
        let row = &row[0];
        assert_eq!(row["name"], "greedy");
        assert_eq!(row["id"], id[..12]);
        let memory = bytes(row["mem_usage"].as_str().unwrap());
        let most: f64 = all.iter().map(|pid| rss(*pid)).sum();
        assert!(memory >= 33_500_000.0, "{row}");
        // A group counts the page cache too.
        let has_group = world_has_group(&home, id);
        assert!(has_group || memory <= most * 1.01, "{row} of {most}");
        assert!(rss(init) >= 33_554_432.0);
        drop(idle);
    }
}

fn world_has_group(home: &crate::support::Home, id: &str) -> bool {
    let path = home.root().join("containers").join(id).join("state.json");
    !crate::support::read_json(&path)["cgroup"].is_null()
}

#[test]
fn columns_and_fields_are_podmans() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let _host = Idle::start(&home, "host", &[]);
    let _alone = Idle::start(&home, "alone", &["--network", "none"]);
    let table = home.berth(["stats", "--no-stream"]).ok().stdout;
    let split = |line: &str| -> Vec<String> {
        let cells = line.split("  ").map(str::trim);
        let cells = cells.filter(|cell| !cell.is_empty());
        cells.map(ToOwned::to_owned).collect()
    };
    let rows: Vec<Vec<String>> = table.lines().map(split).collect();
    assert_eq!(
        rows[0],
        [
            "ID",
            "NAME",
            "CPU %",
            "MEM USAGE / LIMIT",
            "MEM %",
            "NET IO",
            "BLOCK IO",
            "PIDS",
            "CPU TIME",
            "AVG CPU %"
        ]
    );
    assert_eq!(rows.len(), 3, "{table}");
    let row = |name: &str| rows.iter().find(|row| row[1] == name).unwrap();
    assert_eq!(row("host")[5], "-- / --");
    assert_eq!(row("alone")[5], "0B / 0B");
    for name in ["host", "alone"] {
        let row = row(name);
        assert_eq!((row.len(), row[0].len()), (10, 12), "{row:?}");
        for percent in [2, 4, 9] {
            let number = row[percent].strip_suffix('%').unwrap();
            let number: f64 = number.parse().unwrap();
            assert!((0.0..=10_000.0).contains(&number), "{row:?}");
        }
        assert!(row[8].ends_with('s'), "{row:?}");
    }
    let shown = home
        .berth(["stats", "--no-stream", "--no-trunc", "--format", "json"])
        .ok()
        .json();
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), 2);
    let mut keys: Vec<&String> = shown[0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "avg_cpu",
            "block_io",
            "cpu_percent",
            "cpu_time",
            "id",
            "mem_percent",
            "mem_usage",
            "name",
            "net_io",
            "pids"
        ]
    );
    assert!(
        shown
            .iter()
            .all(|row| row["id"].as_str().unwrap().len() == 64)
    );
    let format = "table {{.Name}}\\t{{.MemUsage}}\\t{{.NetIO}}";
    let table = home
        .berth(["stats", "--no-stream", "alone", "--format", format])
        .ok()
        .stdout;
    let rows: Vec<Vec<String>> = table.lines().map(split).collect();
    assert_eq!(rows[0], ["NAME", "MEM USAGE / LIMIT", "NET IO"]);
    assert_eq!((&*rows[1][0], &*rows[1][2]), ("alone", "0B / 0B"));
}

#[test]
fn what_does_not_run_is_told_only_when_asked_for() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    berth(&world, "run --name ended busybox true").ok();
    let id = world.id("ended");
    let refused = berth(&world, "stats --no-stream ended").fails(1);
    assert_eq!(
        refused.one_error().stderr,
        format!("error: cannot look at container {id}: it is exited\n")
    );
    let refused = berth(&world, "stats nobody").fails(1);
    assert_eq!(
        refused.one_error().stderr,
        "error: container nobody not found\n"
    );
    berth(&world, "stats -a ended").fails(2);
    berth(&world, "stats -i 0").fails(2);
    let rows = |line: &str| berth(&world, line).ok().json();
    assert_eq!(
        rows("stats --no-stream --format json"),
        Value::Array(vec![])
    );
    let shown = rows("stats -a --no-stream --format json");
    assert_eq!(shown.as_array().map(Vec::len), Some(1));
    let shown = &shown[0];
    assert_eq!(
        [
            &shown["name"],
            &shown["pids"],
            &shown["mem_usage"],
            &shown["cpu_percent"]
        ],
        ["ended", "--", "-- / --", "--"]
    );
}

#[test]
fn it_goes_on_until_what_was_named_has_ended() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    world.run_d("one", &["busybox", "sleep", "1000"]);
    let mut running = berth(&world, "stats -i 1 --format {{.Name}}/{{.CPUPerc}} one").start();
    running.until_stdout("one/");
    until("a second line", || {
        running.stdout().matches("one/").count() >= 2
    });
    berth(&world, "kill one").ok();
    let ran = running.wait().code(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines.len() >= 2, "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("one/") && line.ends_with('%')),
        "{lines:?}: no screen is cleared where there is none"
    );
    // A terminal is.
    world.run_d("two", &["busybox", "sleep", "1000"]);
    let terminal = world.berth_in_pty(&["stats", "-i", "1", "two"]);
    terminal.until("two");
    assert!(
        terminal.said().starts_with("\u{1b}[2J\u{1b}[H"),
        "{:?}",
        terminal.said()
    );
    let terminal = world.berth_in_pty(&["stats", "-i", "1", "--no-reset", "two"]);
    terminal.until("two");
    assert!(!terminal.said().contains('\u{1b}'), "{:?}", terminal.said());
}

/// Where the test runs there may be no group, so one is made up: where it is, is in the supervisor's notes. tests/vm has a
/// real one.
#[test]
fn a_group_of_its_own_is_believed() {
    needs!(Root, Images, Userns, Overlay);
    let world = World::new();
    let id = world.run_d("one", &["busybox", "sleep", "1000"]);
    world
        .sh("mkdir group && cd group && touch cgroup.events && echo 'usage_usec 3000000' >cpu.stat && \
             echo 1048576 >memory.current && echo 4194304 >memory.max && echo 7 >pids.current && \
             echo '8:0 rbytes=10 wbytes=20 rios=1' >io.stat")
        .ok();
    let notes = world.dir(&id).join("state.json");
    let before = fs::read(&notes).unwrap();
    let mut changed: Value = serde_json::from_slice(&before).unwrap();
    changed["cgroup"] = world.join("group").to_str().unwrap().into();
    fs::write(&notes, changed.to_string()).unwrap();
    let told = || {
        berth(&world, "stats --no-stream --format json one")
            .ok()
            .json()[0]
            .clone()
    };
    let row = told();
    for (key, expected) in [
        ("cpu_time", "3s"),
        ("mem_usage", "1.05MB / 4.19MB"),
        ("mem_percent", "25.00%"),
        ("pids", "7"),
        ("block_io", "10B / 20B"),
        ("net_io", "-- / --"),
    ] {
        assert_eq!(row[key], expected, "{key}");
    }
    // Without the controller of memory the processes tell.
    fs::remove_file(world.join("group/memory.current")).unwrap();
    let row = told();
    assert_eq!(
        (&row["pids"], &row["cpu_time"]),
        (&"7".into(), &"3s".into())
    );
    let memory = row["mem_usage"].as_str().unwrap();
    assert!(
        bytes(memory) > 0.0 && !memory.starts_with("1.05MB"),
        "{row}"
    );
    fs::write(&notes, before).unwrap();
}
