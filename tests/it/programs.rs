//! The programs as a person at a terminal meets them: what they print, and with which code they end.
use std::{io::Write as _, path::Path, process::Stdio};

use kioskwatch_tests::{
    harness::{
        server::Workdir,
        stack::{PATIENCE, Plan},
        wait::wait_until,
    },
    roles::Role,
};

use kioskwatch_proto::Timestamp;

use crate::program;

struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Runs a program of ours to its end.
fn run(role: Role, args: &[&str]) -> Said {
    let mut command = std::process::Command::new(program());
    let output = command.arg(role.word()).args(args).stdin(Stdio::null()).output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_log_is_plain_text_where_nobody_sits_at_a_terminal() {
    let stack = Plan::new(program()).start_without_kiosks().await;
    let log = stack.server.log();
    assert!(log.contains("server started") && !log.contains('\u{1b}'), "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_data_ends_and_says_why() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    // Ports of its own, so that only the data is in the way.
    let text = std::fs::read_to_string(&stack.server.config).unwrap();
    let text = text.replace(&stack.server.http.to_string(), "127.0.0.1:0");
    let text = text.replace(&stack.server.monitoring.to_string(), "127.0.0.1:0");
    let second = stack.dir.path().join("second.toml");
    std::fs::write(&second, &text).unwrap();
    let said = run(Role::Server, &["serve", "--config", second.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("data_dir of its own"), "{}", said.err);

    // A data directory of its own, but the same file.
    let database = format!("sqlite://{}", stack.server.data_dir.join("kioskwatch.sqlite").display());
    assert!(stack.server.data_dir.join("kioskwatch.sqlite").exists(), "{:?}", stack.server.data_dir);
    let other = stack.dir.path().join("other");
    let text = text.replace(&format!("{:?}", stack.server.data_dir), &format!("{other:?}"));
    std::fs::write(&second, text.replace("url = \"\"", &format!("url = {database:?}"))).unwrap();
    let said = run(Role::Server, &["serve", "--config", second.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("SQLite serves one server"), "{}", said.err);

    // The first one never noticed, and ends in order.
    assert!(stack.server.stop().await.unwrap());
    assert!(stack.kiosks[0].stop_agent().await.unwrap());
}

#[test]
fn a_mistyped_key_is_named_with_file_and_line() {
    let dir = Workdir::new("kioskwatch-it").unwrap();
    let table = [
        (Role::Server, "check-config", "[fleet]\n\nunknown_kisoks = \"accept\"\n", 3, "unknown_kisoks"),
        (Role::Server, "serve", "[presence]\nmissed_heartbeats = \"three\"\n", 2, "u32"),
        (Role::Agent, "check-config", "[kiosk]\nid = \"K-0001\"\nheartbeet_s = 3\n", 3, "heartbeet_s"),
        (Role::Agent, "run", "[kiosk]\nid = \"K-0001\"\nheartbeet_s = 3\n", 3, "heartbeet_s"),
    ];
    for (role, verb, text, line, word) in table {
        let path = dir.path().join("wrong.toml");
        std::fs::write(&path, text).unwrap();
        let said = run(role, &[verb, "--config", path.to_str().unwrap()]);
        assert_eq!(said.code, 2, "{verb}: {}", said.err);
        assert!(said.err.contains(&format!("{}:{line}", path.display())), "{verb}: {}", said.err);
        assert!(said.err.contains(word), "{verb}: {}", said.err);
    }
}

#[test]
fn a_file_that_the_configuration_names_is_missed_before_anything_starts() {
    let dir = Workdir::new("kioskwatch-it").unwrap();
    let path = dir.path().join("server.toml");
    let data = dir.path().join("data");
    let tail = format!("[storage]\ndata_dir = {data:?}\n");
    for (section, key) in [
        ("[mqtt]\nurl = \"mqtts://127.0.0.1\"\nca_file = \"/no/such\"\n", "[mqtt] ca_file: /no/such"),
        ("[calendars]\nfiles = [\"/no/such\"]\n", "[calendars] files: /no/such"),
        ("[faults]\nfiles = [\"/no/such\"]\n", "[faults] files: /no/such"),
    ] {
        std::fs::write(&path, format!("{section}{tail}")).unwrap();
        for verb in ["check-config", "serve"] {
            let said = run(Role::Server, &[verb, "--config", path.to_str().unwrap()]);
            assert!(said.code == 2 && said.err.contains(key), "{verb}: {} {}", said.code, said.err);
        }
    }
    assert!(!data.exists(), "nothing was begun");
}

#[test]
fn the_samples_are_configurations() {
    let dir = Workdir::new("kioskwatch-it").unwrap();
    for role in [Role::Server, Role::Agent] {
        let sample = run(role, &["config", "sample"]);
        assert_eq!(sample.code, 0, "{}", sample.err);
        let path = dir.path().join("sample.toml");
        std::fs::write(&path, &sample.out).unwrap();
        if role == Role::Agent {
            // The certificates it names are not on this machine: said with file, key and path.
            let said = run(role, &["check-config", "--config", path.to_str().unwrap()]);
            let line = sample.out.lines().position(|line| line.starts_with("ca_file")).unwrap() + 1;
            let whole = format!("{}:{line}: [mqtt] ca_file: /etc/kioskwatch-agent/ca.pem", path.display());
            assert!(said.code == 2 && said.err.contains(&whole), "{}", said.err);
            let open = sample.out.replace("mqtts://", "mqtt://");
            let without =
                |key: &&str| !["ca_file", "cert_file", "key_file"].iter().any(|k| key.starts_with(k));
            std::fs::write(&path, open.lines().filter(without).collect::<Vec<_>>().join("\n")).unwrap();
        }
        let shown = run(role, &["check-config", "--config", path.to_str().unwrap()]);
        assert_eq!(shown.code, 0, "{}", shown.err);
        assert!(shown.out.contains("[mqtt]"), "{}", shown.out);
        // What it shows is a configuration again.
        std::fs::write(&path, &shown.out).unwrap();
        let again = run(role, &["check-config", "--config", path.to_str().unwrap()]);
        assert_eq!((again.code, again.out), (0, shown.out), "{}", again.err);
    }
}

#[test]
fn secrets_are_not_shown() {
    let dir = Workdir::new("kioskwatch-it").unwrap();
    let path = dir.path().join("server.toml");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "[database]\nurl = \"postgres://kioskwatch:hunter2@db/fleet\"").unwrap();
    let said = run(Role::Server, &["check-config", "--config", path.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(!said.out.contains("hunter2") && said.out.contains("kioskwatch:***@db"), "{}", said.out);
}

#[test]
fn worked_examples_are_computed_one_line_each() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("server/domain/tests/cases");
    for (kind, least) in [("uptime", 28), ("sla", 1), ("inspection", 1)] {
        let file = cases.join(format!("{kind}.json"));
        let said = run(Role::Server, &["evaluate", kind, file.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{}", said.err);
        let lines: Vec<serde_json::Value> =
            said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["id"].is_string()), "{}", said.out);
        if kind == "uptime" {
            assert_eq!(lines.len(), least);
        }
        assert!(lines.len() >= least);
    }
    let said = run(Role::Server, &["evaluate", "uptime", "/no/such/file"]);
    assert_eq!(said.code, 2, "{}", said.err);
}

#[test]
fn deadlines_and_inspections_explain_themselves() {
    let inspection = run(Role::Server, &["explain", "inspection", "--period", "2026-09"]);
    assert_eq!(inspection.code, 0, "{}", inspection.err);
    for words in ["inspection phone", "Asia/Shanghai", "window", "report due, strict", "report due, lenient"]
    {
        assert!(inspection.out.contains(words), "{words}: {}", inspection.out);
    }
    let quarter = run(Role::Server, &["explain", "inspection", "--period", "2026-Q3"]);
    assert!(quarter.out.contains("inspection onsite"), "{}", quarter.out);
    assert_eq!(run(Role::Server, &["explain", "inspection", "--period", "2026-13"]).code, 2);

    // A Friday afternoon: the weekend does not count, a pause does not either.
    let deadline = run(
        Role::Server,
        &[
            "explain",
            "deadline",
            "--calendar",
            "cn-office",
            "--start",
            "2026-03-13T17:00",
            "--budget",
            "4h",
            "--pause",
            "2026-03-16T10:00/2026-03-16T11:00",
        ],
    );
    assert_eq!(deadline.code, 0, "{}", deadline.err);
    assert!(deadline.out.contains("due      2026-03-16 13:00:00"), "{}", deadline.out);
    let always = run(
        Role::Server,
        &["explain", "deadline", "--calendar", "7x24", "--start", "2026-03-13T17:00", "--budget", "4h"],
    );
    assert!(always.out.contains("due      2026-03-13 21:00:00"), "{}", always.out);
}

/// A time as `explain` writes it at a site in China.
fn instant(text: &str) -> i64 {
    let text = text.trim().replace(' ', "T");
    Timestamp::parse(&format!("{text}+08:00")).unwrap_or_else(|error| panic!("{text}: {error}")).secs()
}

/// The integers of a line of the header: `on 3 / 4 75.00%`, `accountable 4 s, known 4 s`.
fn integers(text: &str, name: &str) -> Vec<i64> {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")))
        .unwrap_or_else(|| panic!("{name}: {text}"));
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Holds what `explain uptime` lists against what stands above it: every second once, and of each ratio as many that
/// were up and counted.
fn assert_the_list_is_the_sum(text: &str, now: std::ops::RangeInclusive<i64>) {
    let (mut upto, mut counted, mut outside) = (None, [(0, 0); 3], 0);
    for line in text.lines().skip_while(|line| !line.starts_with("from ")).skip(1) {
        // What proves it.
        if line.starts_with("    ") {
            continue;
        }
        let (from, to) = (instant(&line[..19]), instant(&line[21..40]));
        let words: Vec<&str> = line[41..].split_whitespace().collect();
        assert_eq!(words[0], (to - from).to_string(), "{line}");
        assert!(to > from && upto.is_none_or(|upto| from == upto), "nothing twice, nothing left out: {text}");
        upto = Some(to);
        if words[1] == "not" {
            outside += to - from;
            continue;
        }
        for ((up, all), verdict) in counted.iter_mut().zip(&words[4..7]) {
            let (is_up, is_counted) = match *verdict {
                "up" => (1, 1),
                "down" => (0, 1),
                "out" => (0, 0),
                other => panic!("{other}: {line}"),
            };
            *up += (to - from) * is_up;
            *all += (to - from) * is_counted;
        }
    }
    for (name, (up, all)) in ["on", "avail", "full"].into_iter().zip(counted) {
        let [num, den] = integers(text, name)[..] else { panic!("{text}") };
        assert_eq!((up, all), (num, den), "{name}: {text}");
    }
    let begins = instant(
        text.lines().next().and_then(|line| line.split("  ").nth(1)).unwrap().split(" to ").next().unwrap(),
    );
    let upto = upto.unwrap();
    assert!(now.contains(&upto), "{upto} of {now:?}: {text}");
    let accountable = integers(text, "accountable")[0];
    assert_eq!(accountable + outside, upto - begins, "{text}");
    assert!(accountable > 0 && outside > 0 && counted[0].0 > 0, "there was something to add up: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_from_the_command_line_adds_up_and_disturbs_nothing() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let clock = kioskwatch_server::clock::Clock::start();
    let text = wait_until("seconds that it was up", PATIENCE, || async {
        let before = clock.now();
        let month = &before.plus_ms(8 * 3_600_000).to_string()[..7];
        let command = ["explain", "uptime", "--kiosk", "K-0001", "--month", month];
        let told = stack.server.command(&command).await.unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let text = String::from_utf8(told.stdout).unwrap();
        if integers(&text, "on")[0] == 0 {
            return Err(text);
        }
        Ok((text, before.secs()..=clock.now().secs()))
    })
    .await;
    assert_the_list_is_the_sum(&text.0, text.1);
    let audit = stack.server.command(&["audit", "verify"]).await.unwrap();
    assert!(String::from_utf8_lossy(&audit.stdout).starts_with("intact:"), "{audit:?}");
    let agent = stack.kiosks[0].dir.join("agent.toml");
    let records = wait_until("the journal to be read beside its agent", PATIENCE, || async {
        let said = run(Role::Agent, &["journal", "export", "--config", agent.to_str().unwrap()]);
        if said.code == 0 { Ok(said.out) } else { Err(said.err) }
    })
    .await;
    assert!(records.lines().count() >= 2, "{records}");
    assert!(stack.server.stop().await.unwrap());
}
