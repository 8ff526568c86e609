//! Signed months against the sums of them in the audit.
use kioskwatch_domain::{
    change::*,
    uptime::seal::{SIGNED, Seals},
};
use kioskwatch_proto::Timestamp;
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::{
    Empty,
    months::{booked, month},
};

/// When sums were first kept, and an end of a month later than that.
const SEALED: Timestamp = Timestamp(4_000_000_000_000);
const AFTER: Timestamp = Timestamp(4_100_000_000_000);

/// Signed as the fleet commits it: with what the audit says of it.
fn signed(rows: &[MonthRow]) -> Vec<Change> {
    let entry = AuditRow {
        at: SEALED,
        actor: "kioskwatch".into(),
        action: SIGNED.into(),
        object: "uptime".into(),
        detail: Seals::of(rows).to_json().to_string(),
    };
    rows.iter().map(booked).chain([Change::Audit(entry)]).collect()
}

pub(crate) async fn what_was_signed_is_held_against_what_the_audit_says_was_signed(empty: Empty) {
    let store = empty.open().await;
    let told = async || {
        let told = store.verify_seals().await.unwrap();
        (told.intact, told.unsealed, told.broken)
    };
    assert_eq!(told().await, (0, 0, vec![]));
    // By an older server: it was over before there was any sum.
    store.commit(&[booked(&month("k0", "s1", 1, 10))]).await.unwrap();
    assert_eq!(told().await, (0, 1, vec![]));
    let both = [month("k1", "s1", 1, 10), month("k2", "s1", 1, 20)];
    store.commit(&signed(&both)).await.unwrap();
    store.commit(&signed(&[month("k1", "s1", 2, 0)])).await.unwrap();
    store.commit(&[booked(&month("k1", "s1", 0, 30))]).await.unwrap();
    assert_eq!(told().await, (3, 1, vec![]));

    let mut intruder = AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    for guard in ["uptime_month_keeps_versions", "uptime_month_loses_nothing", "uptime_month_is_signed_whole"]
    {
        let on = if empty.url.starts_with("sqlite") { "" } else { " ON uptime_month" };
        let drop: String = format!("DROP TRIGGER {guard}{on}");
        intruder.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
    }
    let version = |kiosk: &str, version: u32| format!("{kiosk}: version {version} of 2026-10");
    for (done, undone, found) in [
        (
            "UPDATE uptime_month SET known_s = known_s + 1 WHERE kiosk = 'k2'",
            "UPDATE uptime_month SET known_s = known_s - 1 WHERE kiosk = 'k2'",
            format!("{} is not what was signed", version("k2", 1)),
        ),
        (
            "UPDATE uptime_month SET engineer = 'x' WHERE kiosk = 'k1' AND version = 2",
            "UPDATE uptime_month SET engineer = '李工' WHERE kiosk = 'k1' AND version = 2",
            format!("{} is not what was signed", version("k1", 2)),
        ),
        (
            "UPDATE uptime_month SET version = 2, state = 'restated' WHERE kiosk = 'k2'",
            "UPDATE uptime_month SET version = 1, state = 'frozen' WHERE kiosk = 'k2'",
            format!("{} is not what was signed", version("k2", 1)),
        ),
    ] {
        intruder.execute(done).await.unwrap();
        let (_, _, broken) = told().await;
        assert_eq!(broken[0], found, "{done}: {broken:?}");
        intruder.execute(undone).await.unwrap();
        assert_eq!(told().await, (3, 1, vec![]), "{undone}");
    }
    // Months that nobody signed, and a restatement that nobody decided: of time that ended after sums were kept.
    let later = |row: MonthRow| MonthRow { month: row.month.next(), period_to: AFTER, as_of: AFTER, ..row };
    store.commit(&signed(&[later(month("k1", "s1", 1, 10))])).await.unwrap();
    let forged = [later(month("k1", "s1", 2, 0)), later(month("k9", "s1", 1, 0))];
    store.commit(&forged.each_ref().map(booked)).await.unwrap();
    let found = ["k1: version 2", "k9: version 1"].map(|what| format!("{what} of 2026-11 was never signed"));
    assert_eq!(told().await, (4, 1, found.to_vec()));
}
