//! What holds for every driver on any line.
use kioskwatch_agent_core::drivers::{Outcome, Work, registry::Options};
use proptest::prelude::*;

use crate::bench::{Bench, text};

/// What a driver under test is called, with its options, and all it may ever send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) driver: &'static str,
    pub(crate) options: &'static str,
    pub(crate) allowed: &'static [&'static [u8]],
    pub(crate) healthy: fn(&[u8]) -> Vec<u8>,
}

pub(crate) const SUBJECTS: [Subject; 4] = [
    Subject {
        driver: "escpos",
        options: "{}",
        allowed: &[
            b"\x10\x04\x01",
            b"\x10\x04\x02",
            b"\x10\x04\x03",
            b"\x10\x04\x04",
            b"\x1dIA",
            b"\x1dIB",
            b"\x1dIC",
            b"\x1dID",
            b"\x1d(A\x02\x00\x00\x02",
            b"\x10\x05\x01",
        ],
        healthy: printer,
    },
    Subject {
        driver: "escpos",
        options: r#"{"custom":true}"#,
        allowed: &[b"\x10\x04\x14"],
        healthy: custom_printer,
    },
    Subject { driver: "megatec", options: "{}", allowed: &[b"Q1\r", b"F\r", b"I\r", b"T\r"], healthy: ups },
    Subject {
        driver: "ccnet",
        options: "{}",
        allowed: &[
            b"\x02\x03\x06\x31\xc8\xa2",
            b"\x02\x03\x06\x33\xda\x81",
            b"\x02\x03\x06\x00\xc2\x82",
            b"\x02\x03\x06\x37\xfe\xc7",
        ],
        healthy: acceptor,
    },
];

impl Subject {
    pub(crate) fn bench(&self) -> Bench {
        let options: Options = serde_json::from_str(self.options).unwrap();
        Bench::new(self.driver, &options)
    }
}

fn printer(request: &[u8]) -> Vec<u8> {
    match request {
        [0x10, 0x04, _] => vec![0x12],
        [0x1d, 0x49, b'B'] => b"_EPSON\0".to_vec(),
        [0x1d, 0x49, _] => b"_\0".to_vec(),
        _ => vec![],
    }
}

fn custom_printer(_: &[u8]) -> Vec<u8> {
    vec![0x10, 0x0f, 0, 0, 0, 0]
}

fn ups(request: &[u8]) -> Vec<u8> {
    match request {
        b"Q1\r" => b"(230.4 230.0 229.8 017 49.9 27.1 31.5 00001001\r".to_vec(),
        b"F\r" => b"#230.0 004 24.00 50.0\r".to_vec(),
        b"I\r" => b"#KIOSKUPS        UPS-600    V1.02     \r".to_vec(),
        _ => vec![],
    }
}

fn acceptor(request: &[u8]) -> Vec<u8> {
    match request[3] {
        0x31 => ccnet(&[0, 0, 0, 0, 0, 0]),
        0x33 => ccnet(&[0x19]),
        0x37 => ccnet(b"SM-RU1353      21K123456789\0\0\0\0\0\0\x01"),
        _ => vec![],
    }
}

/// A second, table-free CRC-16/KERMIT, so that the driver's own is not its only witness.
pub(crate) fn ccnet(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0x03, u8::try_from(body.len() + 5).unwrap()];
    frame.extend(body);
    let mut crc = 0u16;
    for byte in &frame {
        let mut q = (crc ^ u16::from(*byte)) & 0x0f;
        crc = (crc >> 4) ^ q.wrapping_mul(0x1081);
        q = (crc ^ (u16::from(*byte) >> 4)) & 0x0f;
        crc = (crc >> 4) ^ q.wrapping_mul(0x1081);
    }
    frame.extend(crc.to_le_bytes());
    frame
}

#[derive(Debug, Clone)]
enum Op {
    Begin(Work),
    /// Bytes in these pieces.
    Receive(Vec<Vec<u8>>),
    /// What a healthy device answers to the last frame.
    Answer,
    Wait(u64),
    Reopen,
}

fn any_work() -> impl Strategy<Value = Work> {
    prop::sample::select(vec![Work::Probe, Work::Identify, Work::SelfTest, Work::Reset])
}

/// Bytes of a line: any, or those with a meaning somewhere.
fn line_bytes() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(
        b"\x02\x03\x06\x07\x10\x0f\x11\x12\x13\x14\x19\x1a\x31\x32\x33\x5f\x80\xff(#01. \r".to_vec(),
    );
    prop::collection::vec(prop_oneof![any::<u8>(), telling], 0..40)
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => any_work().prop_map(Op::Begin),
        2 => prop::collection::vec(line_bytes(), 0..4).prop_map(Op::Receive),
        6 => Just(Op::Answer),
        3 => (0u64..3_000).prop_map(Op::Wait),
        1 => Just(Op::Reopen),
    ]
}

fn subject() -> impl Strategy<Value = Subject> {
    prop::sample::select(SUBJECTS.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    /// Whatever is asked and whatever comes back: only frames of the list leave, every finding is bounded,
    /// and all work ends.
    #[test]
    fn only_allowed_frames_leave_and_all_work_ends(
        subject in subject(), ops in prop::collection::vec(any_op(), 0..60),
    ) {
        let mut bench = subject.bench();
        let mut last_sent = Vec::new();
        for op in ops {
            match op {
                Op::Begin(work) => {
                    let _ = bench.begin(work);
                }
                Op::Receive(pieces) => pieces.iter().for_each(|piece| bench.receive(piece)),
                Op::Answer if !last_sent.is_empty() => bench.receive(&(subject.healthy)(&last_sent)),
                Op::Answer => {}
                Op::Wait(ms) => bench.wait(ms),
                Op::Reopen => bench.driver.line_opened(bench.now),
            }
            while let Some(sent) = bench.driver.poll_transmit() {
                prop_assert!(subject.allowed.contains(&&sent[..]), "{sent:02x?}");
                last_sent = sent;
            }
            while let Some(outcome) = bench.driver.poll_outcome() {
                check_bounds(&outcome)?;
            }
        }
        let (sent, found) = bench.run(|_| vec![]);
        for frame in sent {
            prop_assert!(subject.allowed.contains(&&frame[..]), "{frame:02x?}");
        }
        for outcome in &found {
            check_bounds(outcome)?;
        }
        prop_assert_eq!(bench.driver.working(), None);
    }

    /// Work that moves parts ends in the time it names, with one verdict or finding, whatever the line says.
    #[test]
    fn work_that_moves_parts_ends_in_the_time_it_names(
        subject in subject(),
        work in prop::sample::select(vec![Work::SelfTest, Work::Reset]),
        answers in prop::collection::vec(prop_oneof![Just(None), line_bytes().prop_map(Some)], 1..20),
    ) {
        let mut bench = subject.bench();
        bench.begin(Work::Probe).unwrap();
        bench.run(subject.healthy);
        let began = bench.now;
        if bench.begin(work).is_ok() {
            let mut answers = answers.iter().cycle();
            let (_, found) = bench.run(|request| match answers.next().unwrap() {
                None => (subject.healthy)(request),
                Some(noise) => noise.clone(),
            });
            let plan = bench.driver.plan(work).unwrap();
            prop_assert!(bench.now - began <= plan.worst_case_ms, "{} ms", bench.now - began);
            let ends = found.iter().filter(|o| !matches!(o, Outcome::Event { .. })).count();
            prop_assert_eq!(ends, 1, "{:?}", found);
        } else {
            prop_assert_eq!(bench.driver.plan(work), None);
        }
    }

    /// After any noise, a probe on a line that has become clean reads the device, or the second one does.
    #[test]
    fn a_clean_line_after_noise_is_read(subject in subject(), noise in line_bytes(), asked: bool) {
        let mut bench = subject.bench();
        if asked {
            bench.begin(Work::Probe).unwrap();
            bench.step();
        }
        bench.receive(&noise);
        bench.run(|_| vec![]);
        if bench.begin(Work::Probe).is_err() {
            // Noise may spell out that another program uses the acceptor; then only a new start helps.
            prop_assert!(bench.driver.guards_valuables());
            bench.driver.line_opened(bench.now);
            bench.begin(Work::Probe).unwrap();
        }
        let (_, found) = bench.run(subject.healthy);
        prop_assert!(found.iter().any(|o| matches!(o, Outcome::Reading(r) if r.faults.is_empty())), "{found:?}");
    }

    /// How the bytes of an answer are cut into pieces changes nothing.
    #[test]
    fn chunking_changes_nothing(
        subject in subject(), noise in line_bytes(), cuts in prop::collection::vec(1usize..8, 1..8),
    ) {
        let findings = |pieces: &[usize]| -> Vec<String> {
            let mut bench = subject.bench();
            bench.begin(Work::Probe).unwrap();
            let mut outcomes = Vec::new();
            for _ in 0..40 {
                match bench.step() {
                    crate::bench::Step::Sent(sent) => {
                        let bytes = [&(subject.healthy)(&sent)[..], &noise].concat();
                        let mut rest = &bytes[..];
                        for size in pieces.iter().cycle() {
                            let (piece, after) = rest.split_at(rest.len().min(*size));
                            bench.driver.received(piece, bench.now);
                            rest = after;
                            if rest.is_empty() {
                                break;
                            }
                        }
                    }
                    crate::bench::Step::Found(outcome) => outcomes.push(text(&outcome)),
                    crate::bench::Step::Resting => break,
                }
            }
            outcomes
        };
        prop_assert_eq!(findings(&[usize::MAX]), findings(&cuts));
    }
}

fn check_bounds(outcome: &Outcome) -> Result<(), TestCaseError> {
    let longest = match outcome {
        Outcome::Garbled { raw, .. } | Outcome::Event { raw, .. } | Outcome::NotOurs { raw } => raw.len(),
        Outcome::Reading(reading) => {
            prop_assert!(reading.faults.len() <= 16);
            reading.faults.iter().map(|f| f.raw.len()).max().unwrap_or(0)
        }
        _ => 0,
    };
    prop_assert!(longest <= 64, "{outcome:?}");
    Ok(())
}

#[test]
fn an_endless_flood_does_not_grow_a_driver() {
    for subject in SUBJECTS {
        for pattern in [&b"\x5f2222"[..], b"(((((", b"\x02\x03\x40", b"\x10\x00\x00\x00", b"\xff\x80"] {
            let mut bench = subject.bench();
            bench.begin(Work::Probe).unwrap();
            bench.step();
            for _ in 0..20_000 {
                bench.driver.received(pattern, bench.now);
            }
            let size = format!("{:?}", bench.driver).len();
            assert!(size < 4_000, "{} holds {size} characters after {pattern:02x?}", subject.driver);
            bench.run(|_| vec![]);
            assert_eq!(bench.driver.working(), None);
        }
    }
}

#[test]
fn silence_is_no_answer_after_the_named_number_of_questions() {
    for (subject, questions, at_most_ms) in
        [(SUBJECTS[0], 2, 1_500), (SUBJECTS[1], 2, 1_500), (SUBJECTS[2], 2, 2_500), (SUBJECTS[3], 4, 1_000)]
    {
        let mut bench = subject.bench();
        let began = bench.now;
        bench.begin(Work::Probe).unwrap();
        let (sent, found) = bench.run(|_| vec![]);
        assert_eq!(sent.len(), questions, "{subject:?}");
        assert_eq!(found, [Outcome::NoAnswer { work: Work::Probe }], "{subject:?}");
        assert!(bench.now - began <= at_most_ms, "{subject:?}");
    }
}

#[test]
fn an_old_reading_is_no_idleness() {
    for subject in SUBJECTS {
        let mut bench = subject.bench();
        bench.begin(Work::Probe).unwrap();
        bench.run(subject.healthy);
        assert!(bench.driver.idle(bench.now), "{subject:?}");
        bench.wait(60_000);
        assert!(!bench.driver.idle(bench.now), "{subject:?}");
    }
}
