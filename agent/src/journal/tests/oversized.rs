//! Records that fit no message: new ones, and those of older agents.
use super::*;

#[test]
fn a_record_that_fits_no_message_is_cut_when_it_is_made_and_said_to_be_lost() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    let huge = "x".repeat(kioskwatch_proto::limits::MAX_RECORD_BYTES);
    let service = Service { state: ServiceState::InService, cause: Some(huge.clone()) };
    let result = CommandResult {
        command: CommandId(Uuid::from_u128(9)),
        state: CommandOutcome::Succeeded,
        reason: Some(huge.clone()),
        result: Some(huge.into()),
    };
    let bodies = [Body::Service(service), Body::Command(result)];
    write(&journal, bodies.into_iter().map(|body| Op::Record(record(1, body))).chain([status(2)]).collect());
    let kept: Vec<Body> = read_all(&journal).iter().map(|e| Record::parse(&e.json).unwrap().body).collect();
    let [Body::Dropped(dropped), Body::Command(told), Body::Peripheral(_)] = &kept[..] else {
        panic!("{kept:?}")
    };
    assert_eq!((dropped.through, dropped.counts.get("service")), (1, Some(&1)));
    assert_eq!((told.state, &told.result), (CommandOutcome::Succeeded, &None));
    assert!(read_all(&journal).iter().all(|e| e.json.len() < kioskwatch_proto::limits::MAX_RECORD_BYTES));
}

/// As an agent of another version wrote it.
fn rewrite(conn: &rusqlite::Connection, seq: i64, from: &str, to: &str) {
    let read = "SELECT json FROM record WHERE seq = ?1";
    let json: String = conn.query_row(read, [seq], |row| row.get(0)).unwrap();
    let json = json.replacen(from, to, 1);
    let crc = row::record_crc(seq.unsigned_abs(), seq.unsigned_abs(), &json);
    let write = "UPDATE record SET json = ?2, crc = ?3 WHERE seq = ?1";
    conn.execute(write, rusqlite::params![seq, json, crc]).unwrap();
}

/// As agents wrote them that did not cut yet.
#[test]
fn records_of_older_agents_that_fit_no_message_are_cut_at_the_start_and_the_journal_drains() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    let result = CommandResult {
        command: CommandId(Uuid::from_u128(9)),
        state: CommandOutcome::Succeeded,
        reason: None,
        result: Some("small".into()),
    };
    let command = Op::Record(record(3, Body::Command(result)));
    write(&journal, vec![status(1), service(2), command, service(4), status(5)]);
    drop(journal);
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    let huge = "x".repeat(kioskwatch_proto::limits::MAX_PAYLOAD_BYTES);
    for (seq, from, to) in [
        (2_i64, "\"state\"", format!("\"cause\":\"{huge}\",\"state\"")),
        (3, "small", huge.clone()),
        // No record at all for this agent, but for its number and time.
        (4, "\"service\"", format!("\"of_the_past\",\"more\":\"{huge}\"")),
    ] {
        rewrite(&conn, seq, from, &to);
    }
    conn.close().unwrap();

    let (journal, opened) = Journal::open(&config(dir.journal())).unwrap();
    assert_eq!((opened.notices, opened.head.last_seq), (Vec::new(), 5), "the same journal");
    let all = read_all(&journal);
    assert!(all.iter().all(|entry| entry.json.len() <= kioskwatch_proto::limits::MAX_RECORD_BYTES));
    let kept: Vec<Record> = all.iter().map(|entry| Record::parse(&entry.json).unwrap()).collect();
    let headers = kept.iter().map(|record| (record.header.seq, record.header.at.ms()));
    assert!(headers.eq((1..=5).map(|n| (n, i64::try_from(n).unwrap()))), "{kept:?}");
    let [_, second, third, fourth, _] = &kept[..] else { panic!("{kept:?}") };
    for (record, kind) in [(second, "service"), (fourth, "of_the_past")] {
        let Body::Dropped(dropped) = &record.body else { panic!("{record:?}") };
        assert_eq!((dropped.through, dropped.counts.get(kind)), (record.header.seq, Some(&1)));
    }
    let Body::Command(told) = &third.body else { panic!("{third:?}") };
    let why = told.reason.as_deref();
    assert_eq!(
        (told.state, &told.result, why),
        (CommandOutcome::Succeeded, &None, Some(turn::RESULT_TOO_LARGE))
    );
}

/// The server set it aside under its number: other bytes there would be another history.
#[test]
fn a_record_of_an_older_agent_that_was_acknowledged_stays_as_it_is() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&config(dir.journal())).unwrap();
    write(&journal, vec![service(1), status(2)]);
    write(&journal, vec![Op::Acked { upto: 1, at: Timestamp(3) }]);
    drop(journal);
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    let huge = "x".repeat(kioskwatch_proto::limits::MAX_RECORD_BYTES);
    rewrite(&conn, 1, "\"state\"", &format!("\"cause\":\"{huge}\",\"state\""));
    let read = "SELECT json FROM record WHERE seq = 1";
    let before: String = conn.query_row(read, [], |row| row.get(0)).unwrap();
    conn.close().unwrap();
    drop(Journal::open(&config(dir.journal())).unwrap());
    let conn = rusqlite::Connection::open(dir.journal()).unwrap();
    let after: String = conn.query_row(read, [], |row| row.get(0)).unwrap();
    assert!(before.len() > huge.len() && before == after, "{} bytes became {}", before.len(), after.len());
}
