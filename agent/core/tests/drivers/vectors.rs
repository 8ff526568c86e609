//! Public frames one by one: which of ours they are, and what a device's frame is read as.
use std::collections::BTreeMap;

use kioskwatch_agent_core::drivers::{Work, registry::Options};
use serde::Deserialize;

use crate::{
    bench::{Bench, parse_work, text},
    properties::{SUBJECTS, Subject},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    driver: String,
    #[serde(default)]
    options: Options,
    from: From,
    what: String,
    /// Hexadecimal, without spaces.
    frame: String,
    /// Of a host's frame: the work that sends it, or `never`.
    sent_by: Option<String>,
    /// Of a device's frame: the work during which it comes, and the frame it answers.
    during: Option<String>,
    answers: Option<String>,
    /// It comes in front of the healthy answer, not in its place.
    #[serde(default)]
    in_front: bool,
    #[serde(default)]
    expect: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    Host,
    Device,
}

impl Vector {
    fn subject(&self) -> &'static Subject {
        SUBJECTS
            .iter()
            .find(|s| s.driver == self.driver && s.options.contains("custom") != self.options.is_empty())
            .unwrap()
    }
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../src/drivers/testdata/vectors.json")).unwrap();
    assert!(vectors.len() > 80);
    vectors
}

/// A bench on which the device has been read as healthy, so that other work may begin.
fn ready(subject: &Subject, work: Work) -> Bench {
    let mut bench = subject.bench();
    if work != Work::Probe {
        bench.begin(Work::Probe).unwrap();
        bench.run(subject.healthy);
    }
    bench.begin(work).unwrap();
    bench
}

#[test]
fn hosts_frames_are_sent_by_the_work_that_is_named_or_never() {
    let mut sent: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for subject in &SUBJECTS {
        for name in ["probe", "identify", "self_test", "reset"] {
            let mut bench = subject.bench();
            bench.begin(Work::Probe).unwrap();
            bench.run(subject.healthy);
            if bench.begin(parse_work(name)).is_ok() {
                for frame in bench.run(subject.healthy).0 {
                    sent.entry(format!("{} {}", subject.driver, hex::encode(frame))).or_default().push(name);
                }
            }
        }
    }
    for vector in vectors().iter().filter(|v| v.from == From::Host) {
        let by = sent.get(&format!("{} {}", vector.driver, vector.frame));
        match vector.sent_by.as_deref().unwrap() {
            "never" => assert_eq!(by, None, "{vector:?}"),
            work => assert!(by.is_some_and(|by| by.contains(&work)), "{vector:?} is sent by {by:?}"),
        }
    }
}

#[test]
fn devices_frames_are_read_as_named() {
    for vector in vectors().iter().filter(|v| v.from == From::Device) {
        let subject = vector.subject();
        let frame = hex::decode(&vector.frame).unwrap();
        let mut bench = ready(subject, parse_work(vector.during.as_deref().unwrap()));
        let question = hex::decode(vector.answers.as_deref().unwrap()).unwrap();
        let mut was_asked = false;
        let (_, found) = bench.run(|request| {
            let healthy = (subject.healthy)(request);
            if request != question {
                return healthy;
            }
            was_asked = true;
            if vector.in_front { [frame.clone(), healthy].concat() } else { frame.clone() }
        });
        assert!(was_asked, "{}: the question is never asked", vector.what);
        let found: Vec<_> = found.iter().map(text).collect();
        assert_eq!(found, vector.expect, "{} {}", vector.driver, vector.what);
    }
}
