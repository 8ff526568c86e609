use kioskwatch_domain::change::{Change, ExclusionRow, KioskRow, LivenessRow, MonthRow, TransitionRow};
use uuid::Uuid;

use super::*;
use crate::{
    app::testing::{self, Folder},
    metrics::FleetFigures,
    store::{PageRequest, Scope},
};

const DAY: i64 = 86_400_000;

fn id(n: usize) -> KioskId {
    KioskId::new(&format!("K-{n}")).unwrap()
}

fn kiosk(n: usize, now: Timestamp) -> Change {
    Change::Kiosk(KioskRow { commissioned_at: None, ..testing::kiosk(id(n), now) })
}

/// What was known of a kiosk at an instant, and when it was heard.
fn known(n: usize, at: Timestamp) -> Vec<Change> {
    let (from, to) = (at.plus_ms(-1_000), at);
    vec![
        testing::whole(id(n), from, to),
        Change::Transition(TransitionRow {
            kiosk: id(n),
            at,
            kind: "presence".into(),
            peripheral: None,
            from: "unknown".into(),
            to: "online".into(),
            noticed_at: at,
            reason: "heartbeat".into(),
        }),
        Change::Exclusion(ExclusionRow {
            id: Uuid::now_v7(),
            kiosk: Some(id(n)),
            site: None,
            class: "force_majeure".into(),
            from,
            to,
            requested_by: "a".into(),
            approved_by: Some("b".into()),
            approved_at: Some(at),
            agreed_at: None,
            withdrawn: None,
            reason: "flood".into(),
        }),
        heard(from, to),
    ]
}

fn heard(from: Timestamp, to: Timestamp) -> Change {
    Change::Liveness(LivenessRow { server: Uuid::nil(), from, to })
}

/// Two kiosks, of each of which something is known of twenty months ago and of an hour ago.
async fn office(heard_for: i64) -> (App, Folder, Timestamp) {
    let mut begun = Timestamp(0);
    let rows = |now: Timestamp| {
        begun = now;
        let of = |n| [vec![kiosk(n, now)], known(n, old(now)), known(n, now.plus_ms(-3_600_000))].concat();
        let mut rows = [of(1), of(2)].concat();
        rows.push(heard(now.plus_ms(-heard_for), now));
        rows
    };
    let (app, _, folder) = testing::app(Config::default(), rows).await;
    (app, folder, begun)
}

fn old(now: Timestamp) -> Timestamp {
    now.plus_ms(-600 * DAY)
}

async fn whole_round(retention: &mut Retention) {
    while retention.step().await.unwrap() {}
}

/// Evidence and transitions of a kiosk, exclusions and times of hearing.
async fn left(app: &App, n: usize, from: Timestamp, to: Timestamp) -> [usize; 4] {
    let (store, page) = (app.store(), PageRequest::first());
    let transitions = store.transitions(&Scope::All, &id(n), from, to, &page).await.unwrap().unwrap();
    [
        store.evidence(&Scope::All, &[id(n)], from, to).await.unwrap().len(),
        transitions.items.len(),
        store.exclusions(&Scope::All, from, to).await.unwrap().len(),
        store.server_liveness(from, to).await.unwrap().len(),
    ]
}

/// When everything was removed, as a scrape tells it.
fn completed_at(app: &App) -> i64 {
    let page = app.counters().page(&FleetFigures::default());
    let name = "\nkioskwatch_retention_last_completed_timestamp_seconds ";
    let (_, value) = page.split_once(name).unwrap();
    value.lines().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_old_enough_goes_once_a_day_and_is_counted() {
    let (app, _folder, now) = office(3 * DAY).await;
    let mut retention = Retention::new(app.clone());
    whole_round(&mut retention).await;
    for n in [1, 2] {
        assert_eq!(left(&app, n, Timestamp(0), now.plus_ms(-30 * DAY)).await, [0; 4]);
        assert_eq!(left(&app, n, now.plus_ms(-2 * 3_600_000), now).await, [1, 1, 2, 2]);
    }
    let page = app.counters().page(&FleetFigures::default());
    for (table, rows) in [("evidence", 2), ("transition", 2), ("exclusion", 2), ("liveness", 1)] {
        let line = format!("kioskwatch_retention_removed_total{{table=\"{table}\"}} {rows}\n");
        assert!(page.contains(&line), "{line} in {page}");
    }
    assert!(completed_at(&app) >= now.secs(), "{page}");
    app.store().commit(&known(1, old(now))).await.unwrap();
    assert!(!retention.step().await.unwrap(), "tomorrow");
    assert_eq!(left(&app, 1, Timestamp(0), now.plus_ms(-30 * DAY)).await, [1; 4]);
}

#[tokio::test]
async fn what_cannot_be_removed_keeps_nothing_else_from_going() {
    let (app, folder, now) = office(3 * DAY).await;
    let poison = "CREATE TRIGGER poison BEFORE DELETE ON transition BEGIN SELECT RAISE(ABORT, 'poison'); END";
    folder.sabotage(poison).await;
    let mut retention = Retention::new(app.clone());
    let mut steps = 0;
    while retention.step().await.unwrap_or(true) {
        steps += 1;
        assert!(steps < 100, "the same is tried for ever");
    }
    for n in [1, 2] {
        assert_eq!(left(&app, n, Timestamp(0), now.plus_ms(-30 * DAY)).await, [0, 1, 0, 0]);
    }
    assert_eq!(completed_at(&app), 0, "it is not done");
}

#[tokio::test]
async fn nothing_goes_by_a_clock_that_servers_have_not_received_by_for_two_days() {
    let (app, _folder, now) = office(DAY).await;
    let mut retention = Retention::new(app.clone());
    assert!(!retention.step().await.unwrap());
    assert_eq!(left(&app, 1, Timestamp(0), now.plus_ms(-30 * DAY)).await, [1, 1, 2, 1]);
    app.store().commit(&[heard(now.plus_ms(-3 * DAY), now)]).await.unwrap();
    whole_round(&mut retention).await;
    assert_eq!(left(&app, 1, Timestamp(0), now.plus_ms(-30 * DAY)).await, [0; 4]);
}

#[tokio::test]
async fn what_an_unsigned_month_of_one_kiosk_needs_stays_also_where_all_share_it() {
    let (app, _folder, now) = office(3 * DAY).await;
    let month = Month::at(app.default_zone(), old(now).secs());
    let period = month.period(app.default_zone());
    let row = MonthRow { as_of: now, ..MonthRow::nothing(id(1), month, period, now) };
    app.store().commit(&[Change::Month(Box::new(row.clone()))]).await.unwrap();
    whole_round(&mut Retention::new(app.clone())).await;
    let long_ago = async |n| left(&app, n, Timestamp(0), now.plus_ms(-30 * DAY)).await;
    assert_eq!(long_ago(1).await, [1, 1, 2, 1], "everything of the kiosk, and what it shares");
    assert_eq!(long_ago(2).await, [0, 0, 2, 1], "only what it shares");
    let signed = MonthRow { version: 1, fingerprint: "f".into(), ..row };
    app.store().commit(&[Change::Month(Box::new(signed.clone()))]).await.unwrap();
    whole_round(&mut Retention::new(app.clone())).await;
    assert_eq!(long_ago(1).await, [0; 4]);
    let months = app.store().months_of_kiosks(&[id(1)], "2000-01".parse().unwrap()).await.unwrap();
    assert_eq!(months, [signed], "what was signed stays, and says it alone");
}
