//! Rules of the house that the compiler cannot hold. Each failure says which rule and where.
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file under `dirs` whose name ends with one of `endings`, with its text, relative to the root.
fn files(dirs: &[&str], endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = dirs.iter().map(|dir| root.join(dir)).collect();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name != "target" && name != ".git" {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            if let Ok(text) = fs::read_to_string(&path) {
                found.push((name, text));
            }
        }
    }
    assert!(!found.is_empty(), "no files under {dirs:?}: the rule looks in the wrong place");
    found.sort();
    found
}

/// The code of a Rust file without comments, up to its test module.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    before_tests.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/") || name.starts_with("tests/")
}

#[track_caller]
fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// `name:line: text` for every line of code with one of the words.
fn lines_with(files: &[(String, String)], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files {
        for (index, line) in code(text).lines().enumerate() {
            if words.iter().any(|word| holds(line, word)) {
                found.push(format!("{name}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    found
}

/// Whether a line has the word, and not as the beginning of a longer name.
fn holds(line: &str, word: &str) -> bool {
    let ends_in_name = word.ends_with(|c: char| c.is_alphanumeric());
    line.match_indices(word).any(|(at, _)| {
        let next = line[at + word.len()..].chars().next();
        !ends_in_name || next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

#[test]
fn the_pure_packages_do_no_io() {
    let pure: Vec<_> = files(&["agent/core/src", "server/domain/src", "proto/src"], &[".rs"])
        .into_iter()
        .filter(|(name, _)| !is_test_file(name))
        .collect();
    let words = [
        "async fn",
        "async move",
        ".await",
        "tokio",
        "sqlx",
        "rumqttc",
        "axum",
        "tracing::",
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "getrandom",
    ];
    none("agent/core, server/domain and proto are pure", &lines_with(&pure, &words));
}

#[test]
fn topic_text_stands_in_one_place() {
    let others: Vec<_> = files(&["agent", "server", "proto/src", "tests"], &[".rs"])
        .into_iter()
        .filter(|(name, _)| name != "proto/src/topic.rs" && !is_test_file(name))
        .collect();
    none("topic text stands in proto/src/topic.rs only", &lines_with(&others, &["kiosk/v1"]));
}

#[test]
fn an_agent_reads_no_words_of_faults() {
    let found = lines_with(&files(&["agent"], &[".rs"]), &["Catalogue"]);
    none(
        "an agent decides by faults::Weight; the catalogue would take half a megabyte at every start",
        &found,
    );
}

#[test]
fn sql_stands_in_the_stores() {
    let others: Vec<_> = files(&["agent", "server", "proto", "tests/src"], &[".rs"])
        .into_iter()
        .filter(|(name, _)| {
            !name.starts_with("server/src/store/")
                && !name.starts_with("agent/src/journal/")
                && !name.starts_with("tests/src/harness/postgres")
                && !is_test_file(name)
        })
        .collect();
    let words = ["SELECT ", "INSERT INTO", "DELETE FROM", "CREATE TABLE", "sqlx::query"];
    none("SQL stands in server/src/store and agent/src/journal only", &lines_with(&others, &words));
}

#[test]
fn metric_names_stand_in_one_place() {
    let others: Vec<_> = files(&["server/src", "agent/src"], &[".rs"])
        .into_iter()
        .filter(|(name, _)| !name.contains("/metrics") && !is_test_file(name))
        .collect();
    let words = ["_total\"", "_seconds\"", "_ratio\"", "kioskwatch_kiosk", "kioskwatch_ticket"];
    none("metric names stand in metrics only", &lines_with(&others, &words));
}

#[test]
fn clocks_are_read_in_clock_rs() {
    let others: Vec<_> = files(&["agent", "server", "proto"], &[".rs"])
        .into_iter()
        .filter(|(name, _)| !name.ends_with("/clock.rs"))
        .collect();
    none("only clock.rs may lift the ban on clocks", &lines_with(&others, &["clippy::disallowed_methods"]));
}

#[test]
fn members_depend_in_one_direction() {
    let manifest = |member: &str| fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
    let forbidden = [
        (
            "proto",
            &["kioskwatch-agent", "kioskwatch-server", "kioskwatch-domain", "kioskwatch-tests", "tokio"][..],
        ),
        ("agent", &["kioskwatch-server", "kioskwatch-domain", "kioskwatch-tests"]),
        ("agent/core", &["kioskwatch-agent.", "kioskwatch-server", "kioskwatch-domain", "tokio", "tracing"]),
        ("server", &["kioskwatch-agent", "kioskwatch-tests"]),
        (
            "server/domain",
            &["kioskwatch-agent", "kioskwatch-server", "kioskwatch-tests", "tokio", "sqlx", "tracing"],
        ),
    ];
    for (member, words) in forbidden {
        let text = manifest(member);
        let dependencies = text.split_once("[dependencies]").unwrap().1.to_owned();
        for line in dependencies.lines() {
            let bad = words.iter().find(|word| line.starts_with(**word));
            assert!(bad.is_none(), "{member}/Cargo.toml may not depend on {line}");
        }
    }
}

#[test]
fn one_tls_provider_is_linked() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for second in ["aws-lc-rs", "openssl-sys", "native-tls", "libudev-sys"] {
        assert!(
            !lock.contains(&format!("name = \"{second}\"")),
            "{second} is in Cargo.lock: see who pulls it in"
        );
    }
}

#[test]
fn nothing_is_left_undone() {
    let all: Vec<_> = files(&["agent", "server", "proto", "tests"], &[".rs"])
        .into_iter()
        .filter(|(name, _)| name != "tests/it/tidy.rs")
        .collect();
    none("no stubs and no ignored tests", &lines_with(&all, &["todo!(", "unimplemented!(", "#[ignore"]));
}

#[test]
fn tests_wait_for_facts_not_for_time() {
    let tests: Vec<_> =
        files(&["tests/it"], &[".rs"]).into_iter().filter(|(n, _)| n != "tests/it/tidy.rs").collect();
    if tests.len() > 1 {
        none("a test waits with wait_until", &lines_with(&tests, &["sleep("]));
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for (name, text) in files(&["README.md", "agent", "server", "proto", "tests", "deploy"], &[".md"]) {
        let folder = root().join(&name).parent().unwrap().to_owned();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap().split('#').next().unwrap();
            let elsewhere = target.is_empty() || target.contains("://") || target.contains(' ');
            if !elsewhere && !folder.join(target).exists() {
                broken.push(format!("{name}: {target}"));
            }
        }
    }
    none("every relative link in a document exists", &broken);
}

#[test]
fn every_member_explains_itself() {
    let root = root();
    let front = fs::read_to_string(root.join("README.md")).unwrap();
    for member in ["proto", "agent", "agent/core", "server", "server/domain", "tests", "deploy"] {
        assert!(root.join(member).join("README.md").exists(), "{member} has no README.md");
        assert!(
            front.contains(&format!("({member}/README.md)")),
            "README.md does not lead to {member}/README.md"
        );
    }
}
