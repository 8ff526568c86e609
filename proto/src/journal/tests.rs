use super::*;
use crate::limits::{MAX_RECORD_BYTES, MAX_RESULT_BYTES};

const HEAD: &str =
    r#""boot":"6f1c0d9e-0000-4000-8000-000000000001","at":"2026-11-21T08:00:00.123Z","mono_ms":7"#;

#[test]
fn a_record_round_trips() {
    let json = format!(
        r#"{{"seq":3,{HEAD},"kind":"fault","peripheral":"printer","fault":"paper_out","state":"raised","severity":"minor","detail":{{"raw":"7e"}}}}"#
    );
    let record = Record::parse(&json).unwrap();
    assert_eq!(record.header.seq, 3);
    assert_eq!(Record::parse(&record.to_json()).unwrap(), record);
}

#[test]
fn unknown_kinds_and_words_are_accepted() {
    let record = Record::parse(&format!(r#"{{"seq":1,{HEAD},"kind":"weather","rain":true}}"#)).unwrap();
    assert_eq!(record.body.kind(), "weather");
    let json = format!(r#"{{"seq":1,{HEAD},"kind":"peripheral","peripheral":"p","status":"sleepy"}}"#);
    assert!(
        matches!(Record::parse(&json).unwrap().body, Body::Peripheral(p) if p.status.as_str() == "sleepy")
    );
    for fields in [
        r#""kind":"service","state":"dancing""#,
        r#""kind":"fault","peripheral":"p","fault":"x","state":"muted","severity":"odd""#,
        r#""kind":"shutdown","reason":"flood""#,
    ] {
        let record = Record::parse(&format!(r#"{{"seq":1,{HEAD},{fields}}}"#)).unwrap();
        assert!(matches!(record.body, Body::Other(_)), "{fields}");
    }
}

#[test]
fn a_bad_body_keeps_its_number_and_a_missing_number_does_not() {
    let bad = Record::parse(&format!(r#"{{"seq":9,{HEAD},"kind":"service","state":7}}"#));
    assert!(matches!(bad, Err(RecordError::Bad { seq: 9, .. })), "{bad:?}");
    // A new word does not excuse what else is wrong, and a text that is no word is no new word.
    for fields in [r#""kind":"fault","state":"muted""#, r#""kind":"service","state":"Out Of Order""#] {
        let bad = Record::parse(&format!(r#"{{"seq":9,{HEAD},{fields}}}"#));
        assert!(matches!(bad, Err(RecordError::Bad { seq: 9, .. })), "{bad:?}");
    }
    assert!(matches!(Record::parse(r#"{"seq":5}"#), Err(RecordError::Bad { seq: 5, .. })));
    assert!(matches!(Record::parse(r#"{"seq":0}"#), Err(RecordError::Unnumbered(_))));
    assert!(matches!(Record::parse(r#"{"seq":"x"}"#), Err(RecordError::Unnumbered(_))));
    assert!(matches!(Record::parse("[1]"), Err(RecordError::Unnumbered(_))));
}

#[test]
fn limits_hold_inside_a_record_too() {
    let parse = |seq: u64, fields: &str| Record::parse(&format!(r#"{{"seq":{seq},{HEAD},{fields}}}"#));
    let result = "x".repeat(MAX_RESULT_BYTES);
    let command = "6f1c0d9e-0000-4000-8000-000000000001";
    for fields in [
        format!(r#""kind":"command","command":"{command}","state":"failed","result":"{result}""#),
        format!(
            r#""kind":"alive","until":"2026-11-21T08:00:00.123Z","x":"{}""#,
            "x".repeat(MAX_RECORD_BYTES)
        ),
        r#""kind":"dropped","through":4,"counts":{}"#.to_owned(),
        r#""kind":"dropped","through":18446744073709551615,"counts":{}"#.to_owned(),
    ] {
        assert!(matches!(parse(5, &fields), Err(RecordError::Bad { seq: 5, .. })), "{fields:.80}");
    }
    let far = parse(u64::MAX, r#""kind":"alive","until":"2026-11-21T08:00:00.123Z""#);
    assert!(matches!(far, Err(RecordError::Unnumbered(_))), "{far:?}");
    let fault = r#""kind":"fault","peripheral":"p","fault":"x","state":"raised","severity":"minor","detail":{"text":"a\u001b[2Jb"}"#;
    let Body::Fault(fault) = parse(1, fault).unwrap().body else { panic!("a fault") };
    assert_eq!(fault.detail.text.as_deref(), Some("a[2Jb"));
}

#[test]
fn a_hundred_refusals_fit_one_ack_whatever_they_quote() {
    let word = "钞".repeat(5_000);
    let rejected: Vec<Rejected> = (1..=6_000)
        .map(|seq| {
            let json = format!(r#"{{"seq":{seq},{HEAD},"kind":"shutdown","reason":"{word}"}}"#);
            match Record::parse(if seq <= 100 { &json } else { r#"{"seq":101}"# }) {
                Err(RecordError::Bad { seq, reason }) => Rejected { seq, reason },
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let epoch = "6f1c0d9e-0000-4000-8000-000000000001".parse().unwrap();
    let ack = Ack { epoch, upto: 6_000, digest: None, server_time: Timestamp(0), rejected }.within_limits();
    let json = serde_json::to_vec(&ack).unwrap();
    assert_eq!(crate::parse_payload::<Ack>(&json).unwrap(), ack);
}

#[test]
fn digest_is_the_head_of_sha_256() {
    // printf abc | sha256sum
    assert_eq!(Digest::of(b"abc").to_string(), "ba7816bf8f01cfea");
    let ack: Ack = serde_json::from_str(
        r#"{"epoch":"6f1c0d9e-0000-4000-8000-000000000001","upto":0,"digest":"","server_time":"2026-11-21T08:00:00.000Z"}"#,
    )
    .unwrap();
    assert_eq!(ack.digest, None);
}
