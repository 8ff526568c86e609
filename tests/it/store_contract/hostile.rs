//! What must not hurt.
use kioskwatch_domain::change::*;
use kioskwatch_proto::{Timestamp, journal::Digest, limits::MAX_RECORD_BYTES};
use kioskwatch_server::store::{PageRequest, Scope, StoreError};
use sqlx::{Connection, Executor};

use super::{Empty, rows::*};

pub(crate) async fn no_text_is_dangerous(empty: Empty) {
    let store = empty.open().await;
    let texts =
        ["", "'", "\"", "\\", "\\u0000", "$1", "?", "\u{feff}", "\u{7f}\u{1}\r\n", "null", "[1]", "🖨中"];
    for (n, text) in texts.iter().enumerate() {
        let row = SiteRow { name: (*text).into(), contacts: text.repeat(1_000), ..site(&format!("s{n:02}")) };
        store.commit(&[Change::Site(row.clone())]).await.unwrap();
        assert_eq!(store.site(&Scope::All, &row.id).await.unwrap(), Some(row));
    }
    // No database of ours stores NUL; a text with one is stored without, and fails nobody's batch.
    let row = SiteRow { name: "a\0b".into(), ..site("nul") };
    store.commit(&[Change::Site(row.clone())]).await.unwrap();
    assert_eq!(store.site(&Scope::All, &row.id).await.unwrap().unwrap().name, "a\u{fffd}b");
}

pub(crate) async fn numbers_beyond_a_column_are_refused_before_the_database(empty: Empty) {
    let store = empty.open().await;
    let state = KioskStateRow { command_counter: u64::MAX, ..full_state("k1") };
    let refused = store.commit(&[Change::Site(site("s1")), Change::KioskState(Box::new(state))]).await;
    let Err(StoreError::TooLarge { table, column, value }) = refused else { panic!("{refused:?}") };
    assert_eq!((table, column, value), ("kiosk_state", "command_counter", u64::MAX));
    let extreme = KioskStateRow {
        presence_since: Timestamp(i64::MIN),
        last_seen_at: Some(Timestamp(i64::MAX)),
        clock_offset_ms: Some(i64::MIN),
        ..full_state("k1")
    };
    store
        .commit(&[Change::Kiosk(kiosk("k1", None)), Change::KioskState(Box::new(extreme.clone()))])
        .await
        .unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap().states, [extreme]);
}

pub(crate) async fn a_senseless_row_names_itself(empty: Empty) {
    let store = empty.open().await;
    store.commit(&[Change::Site(site("s1")), Change::Ticket(Box::new(full_ticket(1, 1)))]).await.unwrap();
    let mut intruder = sqlx::AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    intruder.execute("UPDATE ticket SET reopened = -1").await.unwrap();
    let refused = store.tickets(&Scope::All, &Default::default(), &PageRequest::first()).await.unwrap_err();
    let StoreError::Inconsistent { table: "ticket", id, what } = refused else { panic!("{refused:?}") };
    assert_eq!(id, uuid(1).to_string());
    assert!(what.contains("reopened") && what.contains("-1"), "{what}");
    intruder.execute("UPDATE site SET id = 'not an id'").await.unwrap();
    let refused = store.sites(&Scope::All, &PageRequest::first()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Inconsistent { table: "site", .. }), "{refused:?}");
}

pub(crate) async fn an_image_of_a_large_record_survives(empty: Empty) {
    let store = empty.open().await;
    let raw = format!("\"{}\"", "中\\\"".repeat(MAX_RECORD_BYTES / 5));
    let large = |n| JournalRecordRow {
        digest: Digest::of(raw.as_bytes()),
        raw: raw.as_str().into(),
        ..record("k1", 3, n)
    };
    // More than one statement holds.
    let changes: Vec<Change> = (1..=100).map(|n| Change::JournalRecord(large(n))).collect();
    store.commit(&[Change::Kiosk(kiosk("k1", None))]).await.unwrap();
    store.commit(&changes).await.unwrap();
    let (k1, epoch) = (kiosk_id("k1"), large(1).epoch);
    let found = store.journal_records(&Scope::All, &k1, epoch, &PageRequest::first()).await.unwrap().unwrap();
    assert_eq!(found.items.len(), 100);
    assert_eq!(found.items[99], large(1));
}
