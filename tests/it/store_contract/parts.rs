//! Evidence on PostgreSQL has a part for each month, and a month of which nothing is left gives its space back.
use kioskwatch_domain::{
    change::*,
    retention::{EvidencePart, Kept},
};
use kioskwatch_proto::Timestamp;
use kioskwatch_server::store::{Scope, Store, StoreError};
use sqlx::{AnyConnection, Connection, Executor, Row};

use super::{Empty, rows::*};

/// What servers before this one made.
pub(super) static SCHEMA: sqlx::migrate::Migrator = sqlx::migrate!("../server/migrations");

/// 2100-01-01, after whatever month the tests run in.
const JANUARY: Timestamp = Timestamp(4_102_444_800_000);
const MONTH: i64 = 31 * DAY;

fn january() -> EvidencePart {
    EvidencePart { table: "evidence_2100_01".into(), from: JANUARY, to: JANUARY.plus_ms(MONTH) }
}

/// A span of so many hours, some hours after January began.
fn span(kiosk: &str, after: i64, hours: i64) -> Change {
    let from = JANUARY.plus_ms(after * HOUR);
    Change::Evidence(EvidenceRow { from, to: from.plus_ms(hours * HOUR), ..evidence(kiosk, 0, 1) })
}

/// The stretch of heartbeats that runs, of an hour from some hours after January began.
fn heard(kiosk: &str, after: i64) -> Change {
    let from = JANUARY.plus_ms(after * HOUR);
    let running =
        RunningSpan { from, to: from.plus_ms(HOUR), state: EvidenceState::Full, cause: None, interval_s: 30 };
    Change::Seen(SeenRow {
        kiosk: kiosk_id(kiosk),
        last_seen_at: running.to,
        interval_s: 30,
        clock_offset_ms: None,
        running: Some(running),
    })
}

async fn connected(empty: &Empty) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(&empty.url).await.unwrap()
}

/// A database as servers before this one left it.
async fn undivided(empty: &Empty) -> AnyConnection {
    let mut connection = connected(empty).await;
    SCHEMA.run(&mut connection).await.unwrap();
    connection
}

async fn with_january(empty: &Empty) -> Store {
    let store = empty.open().await;
    store.make_evidence_part(&january()).await.unwrap();
    store
}

async fn stored(store: &Store, kiosk: &str) -> usize {
    let (kiosks, end) = ([kiosk_id(kiosk)], Timestamp(i64::MAX));
    store.evidence(&Scope::All, &kiosks, Timestamp(i64::MIN), end).await.unwrap().len()
}

async fn parts(store: &Store) -> Vec<EvidencePart> {
    store.evidence_parts().await.unwrap().unwrap()
}

/// One number that the database says itself.
async fn number(connection: &mut AnyConnection, question: &'static str) -> i64 {
    connection.fetch_one(question).await.unwrap().get(0)
}

#[tokio::test]
async fn sqlite_keeps_evidence_in_one_table() {
    let store = Empty::sqlite().open().await;
    assert_eq!(store.evidence_parts().await.unwrap(), None);
}

#[tokio::test]
async fn a_database_of_before_is_divided_with_all_that_is_in_it() {
    let empty = Empty::postgres().await;
    let mut somebody = undivided(&empty).await;
    // Of long ago, of now, and of a clock that was ahead by decades.
    somebody
        .execute(
            "INSERT INTO evidence (kiosk, source, from_at, state, to_at, cause)
             SELECT 'k1', 'live', n * 86400000, 'OOS', n * 86400000 + 1000, 'power'
             FROM generate_series(CAST(10000 AS BIGINT), 60000, 100) n;
             CREATE ROLE \"reads Views\"; GRANT SELECT ON v_evidence TO \"reads Views\";
             CREATE ROLE reads_tables; GRANT SELECT ON evidence TO reads_tables, PUBLIC;
             ALTER VIEW v_evidence SET (security_barrier = true)",
        )
        .await
        .unwrap();
    let store = empty.open().await;
    let again = empty.open().await;
    let there = parts(&again).await;
    let [before] = &there[..] else { panic!("{there:?}") };
    assert_eq!((before.table.as_str(), before.from), ("evidence_before", Timestamp(i64::MIN)));
    let rest = number(&mut somebody, "SELECT COUNT(*) FROM evidence_rest").await;
    let inside = number(&mut somebody, "SELECT COUNT(*) FROM evidence_before").await;
    assert!(rest > 300 && inside > 50 && rest + inside == 501, "{inside} and {rest}");
    assert_eq!(stored(&store, "k1").await, 501);
    assert_eq!(number(&mut somebody, "SELECT COUNT(*) FROM v_evidence").await, 501);
    let granted = "SELECT COUNT(*) FROM pg_class
                   WHERE oid = 'v_evidence'::regclass AND reloptions = '{security_barrier=true}'
                   AND has_table_privilege('reads Views', oid, 'SELECT')
                   AND has_table_privilege('reads_tables', 'evidence', 'SELECT')
                   AND NOT has_table_privilege('reads_tables', 'evidence', 'DELETE')";
    assert_eq!(number(&mut somebody, granted).await, 1);
    // What was there grows where it is; what is new lies beside it.
    let known = |hours| EvidenceRow { cause: None, ..evidence("k1", 0, hours * HOUR) };
    store.commit(&[Change::Evidence(known(1)), span("k1", 0, 1)]).await.unwrap();
    store.commit(&[Change::Evidence(known(2)), span("k1", 0, 2)]).await.unwrap();
    assert_eq!(stored(&store, "k1").await, 503);
    let twice = "INSERT INTO evidence SELECT * FROM evidence LIMIT 1";
    assert!(somebody.execute(twice).await.is_err(), "the key holds over all parts");
}

#[tokio::test]
async fn what_somebody_hung_on_the_table_is_refused_by_name_and_nothing_is_changed() {
    let empty = Empty::postgres().await;
    let mut somebody = undivided(&empty).await;
    let table = [
        ("CREATE VIEW \"Power\" AS SELECT kiosk FROM evidence WHERE cause = 'power'", "DROP VIEW \"Power\""),
        (
            "CREATE MATERIALIZED VIEW \"Power\" AS SELECT kiosk FROM evidence",
            "DROP MATERIALIZED VIEW \"Power\"",
        ),
        (
            "CREATE TABLE \"Power\" (k TEXT, s TEXT, f BIGINT, t TEXT, FOREIGN KEY (k, s, f, t) REFERENCES evidence)",
            "DROP TABLE \"Power\"",
        ),
        (
            "CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER \"Power\" AFTER INSERT ON evidence EXECUTE FUNCTION told()",
            "DROP TRIGGER \"Power\" ON evidence",
        ),
        ("CREATE PUBLICATION \"Power\" FOR TABLE evidence", "DROP PUBLICATION \"Power\""),
    ];
    for (made, dropped) in table {
        somebody.execute(sqlx::raw_sql(made)).await.unwrap();
        let refused = Store::open(&empty.url).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unfit { .. }), "{made}: {refused:?}");
        let said = refused.to_string();
        assert!(said.contains("Power") && said.contains("v_evidence"), "{made}: {said}");
        let kind = "SELECT COUNT(*) FROM pg_class WHERE oid = 'evidence'::regclass AND relkind = 'r'";
        assert_eq!(number(&mut somebody, kind).await, 1, "{made}");
        somebody.execute(dropped).await.unwrap();
    }
    // Views on our view have nothing to fear.
    somebody.execute("CREATE VIEW power AS SELECT kiosk FROM v_evidence").await.unwrap();
    let store = empty.open().await;
    assert_eq!(parts(&store).await.len(), 1);
    store.commit(&[span("k1", 0, 1)]).await.unwrap();
    assert_eq!(number(&mut somebody, "SELECT COUNT(*) FROM power").await, 1);
}

#[tokio::test]
async fn servers_that_start_at_once_on_a_database_of_nobody_all_come_up() {
    let empty = Empty::postgres().await;
    let open = || Store::open(&empty.url);
    let stores = tokio::join!(open(), open(), open(), open());
    for store in [stores.0, stores.1, stores.2, stores.3] {
        assert_eq!(parts(&store.unwrap()).await.len(), 1);
    }
}

#[tokio::test]
async fn rows_that_came_before_their_month_was_made_move_into_it() {
    let empty = Empty::postgres().await;
    let store = empty.open().await;
    let hours = MONTH / HOUR;
    store
        .commit(&[span("k1", -1, 1), span("k1", 0, 1), span("k2", hours - 1, 9), span("k2", hours, 1)])
        .await
        .unwrap();
    store.make_evidence_part(&january()).await.unwrap();
    store.make_evidence_part(&january()).await.unwrap();
    assert_eq!(parts(&store).await[1..], [january()]);
    let mut somebody = connected(&empty).await;
    assert_eq!(number(&mut somebody, "SELECT COUNT(*) FROM evidence_2100_01").await, 2);
    assert_eq!(number(&mut somebody, "SELECT COUNT(*) FROM evidence_rest").await, 2);
    store.commit(&[span("k1", 0, 2), span("k1", 5, 1)]).await.unwrap();
    assert_eq!((stored(&store, "k1").await, stored(&store, "k2").await), (3, 2));
    assert_eq!(number(&mut somebody, "SELECT COUNT(*) FROM evidence_2100_01").await, 3);
}

#[tokio::test]
async fn an_emptied_month_gives_its_space_back_and_what_comes_late_is_found_all_the_same() {
    let empty = Empty::postgres().await;
    let store = with_january(&empty).await;
    let late = [span("k1", 0, 1), span("k1", 1, 1)];
    store
        .commit(&[&[Change::Kiosk(kiosk("k1", None)), span("k1", -1, 1)][..], &late].concat())
        .await
        .unwrap();
    let gone = store.remove_of_kiosks(Kept::Evidence, &[kiosk_id("k1")], january().to, 100).await.unwrap();
    assert_eq!(gone, 3);
    assert!(store.drop_empty_evidence_part(&january()).await.unwrap());
    assert_eq!(parts(&store).await.len(), 1);
    store.commit(&late).await.unwrap();
    store.commit(&[span("k1", 0, 2)]).await.unwrap();
    assert_eq!(stored(&store, "k1").await, 2);
    let gone = store.remove_of_kiosks(Kept::Evidence, &[kiosk_id("k1")], january().to, 100).await.unwrap();
    assert_eq!((gone, stored(&store, "k1").await), (2, 0));
}

#[tokio::test]
async fn a_month_with_one_row_stays_however_the_row_came_there() {
    let empty = Empty::postgres().await;
    let store = with_january(&empty).await;
    // A stretch of heartbeats becomes evidence in the database itself, when another one follows.
    store.commit(&[Change::Kiosk(kiosk("k1", None)), heard("k1", 0)]).await.unwrap();
    store.commit(&[heard("k1", 2 * MONTH / HOUR)]).await.unwrap();
    assert!(!store.drop_empty_evidence_part(&january()).await.unwrap());
    assert_eq!((parts(&store).await.len(), stored(&store, "k1").await), (2, 2));
}

#[tokio::test]
async fn a_row_that_comes_after_the_look_keeps_its_month() {
    let empty = Empty::postgres().await;
    let store = with_january(&empty).await;
    let mut other = connected(&empty).await;
    // Not committed yet: nobody sees it.
    let row = "INSERT INTO evidence (kiosk, source, from_at, state, to_at)
               VALUES ('k1', 'journal', 4102444800000, 'OFF', 4102444800001)";
    other.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {row}")))).await.unwrap();
    let mut somebody = connected(&empty).await;
    let dropping = tokio::spawn({
        let store = store.clone();
        async move { store.drop_empty_evidence_part(&january()).await }
    });
    // It waits for the row's transaction, having looked, or has given up.
    let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'evidence'::regclass";
    while number(&mut somebody, waiting).await == 0 && !dropping.is_finished() {}
    other.execute("COMMIT").await.unwrap();
    let dropped = dropping.await.unwrap();
    assert!(!matches!(dropped, Ok(true)), "{dropped:?}");
    assert_eq!((parts(&store).await.len(), stored(&store, "k1").await), (2, 1));
}

#[tokio::test]
async fn under_a_long_reader_no_month_is_made_or_dropped_and_commits_go_on() {
    let empty = Empty::postgres().await;
    let store = with_january(&empty).await;
    let february =
        EvidencePart { table: "evidence_2100_02".into(), from: january().to, to: january().to.plus_ms(DAY) };
    let mut backup = connected(&empty).await;
    backup.execute("BEGIN; LOCK TABLE evidence IN ACCESS SHARE MODE").await.unwrap();
    let kept = store.drop_empty_evidence_part(&january()).await.unwrap_err();
    assert!(kept.is_retryable(), "{kept:?}");
    let missed = store.make_evidence_part(&february).await.unwrap_err();
    assert!(missed.is_retryable(), "{missed:?}");
    store.commit(&[span("k1", 0, 1), span("k2", MONTH / HOUR, 1)]).await.unwrap();
    assert_eq!((stored(&store, "k1").await, stored(&store, "k2").await), (1, 1));
    assert_eq!(parts(&store).await[1..], [january()]);
    backup.execute("COMMIT").await.unwrap();
    assert!(!store.drop_empty_evidence_part(&january()).await.unwrap(), "something came meanwhile");
    store.make_evidence_part(&february).await.unwrap();
    assert_eq!(parts(&store).await[1..], [january(), february]);
    assert_eq!((stored(&store, "k1").await, stored(&store, "k2").await), (1, 1));
}

#[tokio::test]
async fn no_month_is_made_or_dropped_once_somebody_else_holds_the_lease() {
    let empty = Empty::postgres().await;
    let (store, other) = (empty.open().await, empty.open().await);
    store.take_lease("all", uuid(1), at(0), at(1)).await.unwrap();
    store.make_evidence_part(&january()).await.unwrap();
    other.take_lease("all", uuid(2), at(2), at(DAY)).await.unwrap();
    let refused = store.drop_empty_evidence_part(&january()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Fenced { .. }), "{refused:?}");
    let february = EvidencePart { table: "f".into(), from: january().to, to: january().to.plus_ms(DAY) };
    let refused = store.make_evidence_part(&february).await.unwrap_err();
    assert!(matches!(refused, StoreError::Fenced { .. }), "{refused:?}");
    assert_eq!(parts(&other).await[1..], [january()]);
}
