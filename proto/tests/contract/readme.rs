//! The examples of the README are the golden payloads, and its tables are complete.
use std::collections::BTreeSet;

use kioskwatch_proto::{faults::Catalogue, journal::Body, topic::Channel};
use serde_json::Value;

use crate::golden::file;

const README: &str = include_str!("../../README.md");

/// The blocks with the given first line, and the rest of that line.
fn blocks(language: &str) -> Vec<(&'static str, &'static str)> {
    let parts = README.split("```").skip(1).step_by(2);
    parts.filter_map(|b| b.strip_prefix(language)?.split_once('\n')).collect()
}

#[test]
fn examples_are_the_golden_payloads() {
    let mut channels = BTreeSet::new();
    for (name, text) in blocks("json ") {
        let shown: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let golden: Value = serde_json::from_slice(&file(name)).unwrap();
        assert_eq!(shown, golden, "{name}");
        channels.extend(name.split('.').next());
    }
    for channel in Channel::ALL {
        assert!(channels.contains(channel.as_str()), "no example of {channel}");
    }
}

#[test]
fn the_example_of_a_sites_own_fault_is_one() {
    for (_, text) in blocks("toml") {
        assert_eq!(Catalogue::from_toml(text).unwrap().entries().count(), 1);
    }
}

#[test]
fn tables_name_every_channel_kind_limit_and_local_payload() {
    for channel in Channel::ALL {
        let (qos, retained) = (channel.qos(), if channel.retained() { "yes" } else { "no" });
        let sender = if channel.from_agent() { "agent" } else { "server" };
        let row = README.lines().find(|l| l.starts_with(&format!("| `{channel}` | {sender}")));
        let row = row.unwrap_or_else(|| panic!("no row for {channel}"));
        assert!(row.contains(&format!("| {qos} | {retained} |")), "{row}");
    }
    for kind in Body::KINDS {
        assert!(README.contains(&format!("\n| `{kind}` | ")), "no row for {kind}");
    }
    let limits = include_str!("../../src/limits.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    for limit in limits {
        assert!(README.contains(&format!("| `{limit}` |")), "no row for {limit}");
    }
    for message in crate::golden::MESSAGES.iter().filter(|m| m.name.starts_with("local.")) {
        assert!(README.contains(&format!("{}.json", message.name)), "no word of {}", message.name);
    }
}
