//! Restarts, migrations, several servers.
use kioskwatch_domain::{change::*, retention::Kept};
use kioskwatch_server::store::{AuditVerdict, PageRequest, Scope, Store, StoreError};
use kioskwatch_tests::harness::postgres::Postgres;
use sqlx::{Connection, Executor};

use super::{
    Empty,
    proxy::{Cut, Proxy},
    rows::*,
    writing::everything,
};

pub(crate) async fn a_restart_finds_the_same_image(empty: Empty) {
    let store = empty.open().await;
    let (changes, image) = everything();
    store.commit(&changes).await.unwrap();
    store.close().await;
    drop(store);
    let store = empty.open().await;
    assert_eq!(store.load_image(NOW).await.unwrap(), image);
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { entries: 1, .. }));
}

pub(crate) async fn a_second_migration_changes_nothing(empty: Empty) {
    for n in 1..=3 {
        let store = empty.open().await;
        store.commit(&[Change::Audit(audit(n))]).await.unwrap();
        let verdict = store.verify_audit().await.unwrap();
        assert!(
            matches!(verdict, AuditVerdict::Intact { entries, .. } if entries == n as u64),
            "{verdict:?}"
        );
    }
}

pub(crate) async fn a_newer_schema_is_refused(empty: Empty) {
    drop(empty.open().await);
    let mut tomorrow = sqlx::AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    tomorrow
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'tomorrow', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await
        .unwrap();
    let refused = Store::open(&empty.url).await.unwrap_err();
    assert!(matches!(refused, StoreError::SchemaTooNew { found: 9999, .. }), "{refused:?}");
    assert!(refused.to_string().contains("9999"), "{refused}");
}

pub(crate) async fn a_tool_works_beside_a_server(empty: Empty) {
    let store = empty.open().await;
    let tool = Store::open_beside(&empty.url).await.unwrap();
    tool.commit(&[Change::Site(site("s1"))]).await.unwrap();
    store.commit(&[Change::Site(site("s2"))]).await.unwrap();
    assert_eq!(tool.load_image(NOW).await.unwrap().sites.len(), 2);
    assert_eq!(store.load_image(NOW).await.unwrap().sites.len(), 2);
}

pub(crate) async fn only_a_server_makes_a_database(empty: Empty) {
    for opened in [Store::open_beside(&empty.url).await, Store::open_to_read(&empty.url).await] {
        let refused = opened.unwrap_err().to_string();
        assert!(refused.contains("kioskwatch-server migrate"), "{refused}");
    }
    if let Some(path) = empty.url.strip_prefix("sqlite://") {
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
    empty.open().await.close().await;
    Store::open_beside(&empty.url).await.unwrap();
    Store::open_to_read(&empty.url).await.unwrap();
}

pub(crate) async fn a_lost_lease_stops_every_commit(empty: Empty) {
    empty.open().await.close().await;
    let (old, new) = (Store::open_beside(&empty.url).await, Store::open_beside(&empty.url).await);
    // On SQLite only a tool can be second; there the lease still has to hold.
    let (old, new) = (old.unwrap(), new.unwrap());
    let first = old.take_lease("all", uuid(1), at(0), at(10)).await.unwrap();
    old.commit(&[Change::Audit(audit(1))]).await.unwrap();
    assert_eq!(old.renew_lease(at(20)).await.unwrap().until, at(20));
    let second = new.take_lease("all", uuid(2), at(20), at(30)).await.unwrap();
    assert!(second.fence > first.fence);
    let refused = old.commit(&[Change::Audit(audit(2))]).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    let refused = old.renew_lease(at(99)).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    // Nor does it forget anything.
    let known = [Change::Kiosk(kiosk("k1", None)), Change::Evidence(evidence("k1", 0, 10))];
    new.commit(&known).await.unwrap();
    let (kiosks, later) = ([kiosk_id("k1")], "9000-01".parse().unwrap());
    let refused = old.remove_of_kiosks(Kept::Evidence, &kiosks, at(20), 9).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    let refused = old.prune_months(&kiosks, later).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    let stored = async || new.evidence(&Scope::All, &kiosks, at(0), at(10)).await.unwrap().len();
    assert_eq!(stored().await, 1);
    new.prune_months(&kiosks, later).await.unwrap();
    new.remove_of_kiosks(Kept::Evidence, &kiosks, at(20), 9).await.unwrap();
    assert_eq!(stored().await, 0);
    new.commit(&[Change::Audit(audit(3))]).await.unwrap();
    assert!(matches!(new.verify_audit().await.unwrap(), AuditVerdict::Intact { entries: 2, .. }));
    // A store that gave its lease back does not write under it either way.
    new.release_lease(at(21)).await.unwrap();
    let third = old.take_lease("all", uuid(1), at(21), at(40)).await.unwrap();
    assert!(third.fence > second.fence);
    old.commit(&[Change::Audit(audit(4))]).await.unwrap();
}

pub(crate) async fn a_lease_is_not_taken_before_its_time(empty: Empty) {
    let (a, b) = (empty.open().await, Store::open_beside(&empty.url).await.unwrap());
    a.take_lease("00-7f", uuid(1), at(0), at(10)).await.unwrap();
    let refused = b.take_lease("00-7f", uuid(2), at(9), at(20)).await;
    let Err(StoreError::LeaseHeld { partition, owner, until }) = refused else { panic!("{refused:?}") };
    assert_eq!((partition.as_str(), owner, until), ("00-7f", uuid(1), at(10)));
    // Another partition is free, and its own holder may take one again after a restart.
    b.take_lease("80-ff", uuid(2), at(9), at(20)).await.unwrap();
    a.take_lease("00-7f", uuid(1), at(5), at(20)).await.unwrap();
    a.commit(&[Change::Audit(audit(1))]).await.unwrap();
    b.commit(&[Change::Audit(audit(2))]).await.unwrap();
    assert!(matches!(a.verify_audit().await.unwrap(), AuditVerdict::Intact { entries: 2, .. }));
}

pub(crate) async fn commits_of_several_tasks_all_arrive(empty: Empty) {
    let (one, two) = (empty.open().await, Store::open_beside(&empty.url).await.unwrap());
    let tasks: Vec<_> = (0..16_i64)
        .map(|n| {
            let store = if n % 2 == 0 { one.clone() } else { two.clone() };
            tokio::spawn(async move {
                for k in 0..5 {
                    let changes = [Change::Audit(audit(n * 5 + k)), Change::Site(site(&format!("s{n}")))];
                    store.commit(&changes).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(matches!(one.verify_audit().await.unwrap(), AuditVerdict::Intact { entries: 80, .. }));
    assert_eq!(one.load_image(NOW).await.unwrap().sites.len(), 16);
}

#[tokio::test]
async fn a_second_server_on_the_same_sqlite_file_is_refused() {
    let empty = Empty::sqlite();
    let first = empty.open().await;
    let refused = Store::open(&empty.url).await.unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    drop(first);
    empty.open().await;
}

#[tokio::test]
async fn urls_that_name_no_database_are_refused() {
    for url in ["", "mysql://x/y", "sqlite://", "sqlite://:memory:", "sqlite:x", "/var/db"] {
        let refused = Store::open(url).await;
        assert!(matches!(refused, Err(StoreError::Url { .. })), "{url}: {refused:?}");
    }
}

#[tokio::test]
async fn postgres_may_go_away_and_come_back() {
    let cluster = Postgres::start();
    let store = Store::open(&cluster.fresh_database().await).await.unwrap();
    store.take_lease("all", uuid(1), at(0), at(DAY)).await.unwrap();
    store.commit(&[Change::Audit(audit(1)), Change::Site(site("s1"))]).await.unwrap();
    for n in 2..=4 {
        cluster.crash();
        let changes = [Change::Audit(audit(n))];
        let refused = store.commit(&changes).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused:?}");
        let refused = store.load_image(NOW).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused:?}");
        cluster.resume();
        store.commit(&changes).await.unwrap();
        assert_eq!(store.load_image(NOW).await.unwrap().sites, [site("s1")]);
        let verdict = store.verify_audit().await.unwrap();
        assert!(
            matches!(verdict, AuditVerdict::Intact { entries, .. } if entries == n as u64),
            "{verdict:?}"
        );
    }
}

/// The connection may break while the store waits for the answer to its COMMIT. Whether the database had
/// done it or not: tried again, the commit happens once.
#[tokio::test]
async fn a_commit_tried_again_happens_once() {
    let cluster = Postgres::shared();
    let proxy = Proxy::before(&cluster).await;
    let direct = cluster.fresh_database().await;
    let store = Store::open(&proxy.url(&direct)).await.unwrap();
    store.take_lease("all", uuid(1), at(0), at(DAY)).await.unwrap();
    let cuts = [Cut::Question, Cut::Answer, Cut::Late, Cut::Answer, Cut::Late, Cut::Question];
    for (n, cut) in (1..).zip(cuts) {
        let changes = [Change::Audit(audit(n)), Change::Transition(transition("k1", 0, "x"))];
        proxy.cut_next_commit(cut);
        let refused = store.commit(&changes).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused:?}");
        store.commit(&changes).await.unwrap();
        let verdict = store.verify_audit().await.unwrap();
        assert!(
            matches!(verdict, AuditVerdict::Intact { entries, .. } if entries == n as u64),
            "{verdict:?}"
        );
        // The same decision once more is another commit.
        store.commit(&[Change::Kiosk(kiosk("k1", None))]).await.unwrap();
    }
    let page = PageRequest::first();
    let found = store.transitions(&Scope::All, &kiosk_id("k1"), at(0), at(1), &page).await.unwrap().unwrap();
    assert_eq!(found.items.len(), cuts.len());
}

/// What took too long for the database is no reason to wait for it: it is there, and other changes may come.
#[tokio::test]
async fn a_commit_that_postgres_ends_is_not_there() {
    let cluster = Postgres::shared();
    let url = cluster.fresh_database().await;
    let store = Store::open(&url).await.unwrap();
    store.take_lease("all", uuid(1), at(0), at(DAY)).await.unwrap();
    store.commit(&[Change::Site(site("s1"))]).await.unwrap();
    let mut somebody = sqlx::AnyConnection::connect(&url).await.unwrap();
    let mut administrator = sqlx::AnyConnection::connect(&url).await.unwrap();
    somebody.execute("BEGIN; UPDATE site SET name = name WHERE id = 's1'").await.unwrap();
    let changes = [Change::Kiosk(kiosk("k1", None)), Change::Site(site("s1"))];
    let cancel = async {
        let waiting = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut administrator).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let (refused, ()) = tokio::join!(store.commit(&changes), cancel);
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StoreError::Cancelled { .. }) && refused.is_retryable(), "{refused:?}");
    assert!(refused.is_overrun(), "{refused:?}");
    assert!(!store.arrived(&changes).await.unwrap(), "that is certain");
    let [kiosk, _] = &changes;
    store.commit(std::slice::from_ref(kiosk)).await.unwrap();
    somebody.execute("ROLLBACK").await.unwrap();
    store.commit(&changes).await.unwrap();
}

/// Before other changes may come in place of a doubtful commit, the store says where it stands.
#[tokio::test]
async fn where_a_doubtful_commit_stands_is_told_without_doing_it_again() {
    let cluster = Postgres::shared();
    let proxy = Proxy::before(&cluster).await;
    let direct = cluster.fresh_database().await;
    let store = Store::open(&proxy.url(&direct)).await.unwrap();
    store.take_lease("all", uuid(1), at(0), at(DAY)).await.unwrap();
    let mut entries = 0;
    for (n, (cut, arrived)) in (1..).zip([(Cut::Question, false), (Cut::Answer, true), (Cut::Late, true)]) {
        let changes = [Change::Audit(audit(n)), Change::Kiosk(kiosk("k1", None))];
        assert!(!store.arrived(&changes).await.unwrap(), "it was never tried");
        proxy.cut_next_commit(cut);
        assert!(store.commit(&changes).await.unwrap_err().is_retryable());
        assert_eq!(store.arrived(&changes).await.unwrap(), arrived, "{cut:?}");
        if !arrived {
            let [first, second] = changes;
            store.commit(&[first]).await.unwrap();
            store.commit(&[second]).await.unwrap();
        }
        entries += 1;
        let verdict = store.verify_audit().await.unwrap();
        assert!(
            matches!(verdict, AuditVerdict::Intact { entries: found, .. } if found == entries),
            "{verdict:?}"
        );
    }
}
