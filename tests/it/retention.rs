//! Months of evidence on PostgreSQL come and go, and signed figures stay.
//!
//! What goes when on both databases: `server/src/app/retention/tests.rs`.
use std::sync::Arc;

use kioskwatch_domain::{change::*, fleet::Fleet, policy::Policy, retention::EvidencePart, uptime::Month};
use kioskwatch_proto::{Timestamp, command::CommandSigner};
use kioskwatch_server::{
    app::{App, NotLive, Parts, Retention, UptimePeriod, UptimeReader},
    clock::Clock,
    config::Config,
    metrics::{Counters, FleetFigures},
    store::Scope,
};
use sqlx::{AnyConnection, Connection, Executor};

use crate::store_contract::{Empty, months::month as month_row, rows::*};

/// A server on a database whose evidence has a part for each of the last twenty months.
struct Office {
    empty: Empty,
    app: App,
    now: Timestamp,
}

fn start(month: Month) -> Timestamp {
    Timestamp(month.period("UTC".parse().unwrap()).from * 1_000)
}

impl Office {
    async fn open() -> Self {
        Self::that_received_for(900).await
    }

    async fn that_received_for(days: i64) -> Self {
        let empty = Empty::postgres().await;
        let store = empty.open().await;
        let clock = Arc::new(Clock::start());
        let now = clock.now();
        let since = Some(now.plus_ms(-900 * DAY));
        let kiosks = ["k1", "k2"].map(|id| KioskRow { commissioned_at: since, ..kiosk(id, None) });
        store.commit(&kiosks.map(Change::Kiosk)).await.unwrap();
        let heard = LivenessRow { server: uuid(1), from: now.plus_ms(-days * DAY), to: now };
        store.commit(&[Change::Liveness(heard)]).await.unwrap();
        let image = store.load_image(now).await.unwrap();
        let policy = Arc::new(Policy::default());
        let (app, _) = App::new(Parts {
            config: Config::default(),
            clock,
            store,
            fleet: Fleet::from_image(Arc::clone(&policy), image),
            policy,
            signer: CommandSigner::from_secret("test", &[1; 32]),
            counters: Counters::new().unwrap(),
        });
        let office = Self { empty, app, now };
        // As if it had been divided long ago.
        let mut connection = AnyConnection::connect(&office.empty.url).await.unwrap();
        connection.execute("DROP TABLE evidence_before").await.unwrap();
        for n in 0..=20 {
            let month = office.back(n);
            let table = format!("evidence_{:04}_{:02}", month.year(), month.month());
            let part = EvidencePart { table, from: start(month), to: start(month.next()) };
            office.app.store().make_evidence_part(&part).await.unwrap();
        }
        office
    }

    fn back(&self, months: usize) -> Month {
        let running = Month::at("UTC".parse().unwrap(), self.now.secs());
        (0..months).fold(running, |month, _| month.previous())
    }

    /// What was known of a kiosk for some days from a day of a month on.
    fn known(&self, kiosk: &str, months: usize, day: i64, days: i64) -> Change {
        let from = start(self.back(months)).plus_ms(day * DAY);
        Change::Evidence(EvidenceRow { from, to: from.plus_ms(days * DAY), ..evidence(kiosk, 0, 1) })
    }

    fn figures(&self, kiosk: &str, months: usize, version: u32) -> MonthRow {
        let month = self.back(months);
        let (period_from, period_to) = (start(month), start(month.next()));
        let frozen_at = (version > 0).then_some(period_to);
        MonthRow { month, period_from, period_to, frozen_at, ..month_row(kiosk, "s1", version, 1) }
    }

    async fn commit(&self, changes: &[Change]) {
        self.app.store().commit(changes).await.unwrap();
    }

    async fn parts(&self) -> Vec<EvidencePart> {
        self.app.store().evidence_parts().await.unwrap().unwrap()
    }

    async fn round(&self) {
        let mut retention = Retention::new(self.app.clone());
        while retention.step().await.unwrap() {}
    }

    async fn spans(&self, kiosk: &str) -> usize {
        let (kiosks, end) = ([kiosk_id(kiosk)], Timestamp(i64::MAX));
        self.app.store().evidence(&Scope::All, &kiosks, Timestamp(0), end).await.unwrap().len()
    }
}

#[tokio::test]
async fn months_of_evidence_go_and_what_was_signed_of_them_stays() {
    let office = Office::open().await;
    let signed = office.figures("k1", 18, 1);
    office
        .commit(&[
            office.known("k1", 18, 2, 1),
            // Nothing happened for two hundred days: younger months need it.
            office.known("k1", 18, 5, 200),
            office.known("k2", 17, 2, 1),
            office.known("k2", 1, 2, 1),
            Change::Month(Box::new(signed.clone())),
        ])
        .await;
    office.round().await;
    assert_eq!((office.spans("k1").await, office.spans("k2").await), (1, 1));
    let page = office.app.counters().page(&FleetFigures::default());
    assert!(page.contains("kioskwatch_retention_removed_total{table=\"evidence\"} 2\n"), "{page}");
    assert!(!page.contains("kioskwatch_retention_last_completed_timestamp_seconds 0\n"), "{page}");
    // Of the months that are over only the one with the long span is left.
    let parts = office.parts().await;
    let (kept, oldest) = (start(office.back(18)), office.now.plus_ms(-470 * DAY));
    let over: Vec<_> = parts.iter().filter(|part| part.to < oldest).map(|part| part.from).collect();
    assert_eq!(over, [kept], "{parts:?}");
    let (last, young) = (parts.last().unwrap(), parts.iter().filter(|part| part.from > oldest));
    assert!(last.to > office.now.plus_ms(80 * DAY), "the next months are ready: {parts:?}");
    assert!(young.count() > 12, "empty months that are young stay: {parts:?}");
    let months = office.app.store().months_of_kiosks(&[kiosk_id("k1")], office.back(20)).await.unwrap();
    assert_eq!(months, [signed]);
    // Whoever asks for the intervals is told that what was known of them is removed.
    let reader = UptimeReader {
        store: office.app.store(),
        config: office.app.config(),
        calendar: office.app.calendar(),
        now: office.now,
        live: &NotLive,
    };
    let month = office.back(18);
    let month = UptimePeriod::Month { year: month.year(), month: month.month() };
    let explained = reader.explain(&Scope::All, &kiosk_id("k1"), month, None).await.unwrap();
    let forgotten = explained.intervals.iter().filter(|piece| explained.is_forgotten(piece)).count();
    assert!(forgotten > 0 && forgotten < explained.intervals.len(), "{explained:?}");
}

#[tokio::test]
async fn a_reader_who_stays_keeps_no_row_from_going() {
    let office = Office::open().await;
    office.commit(&[office.known("k1", 18, 2, 1)]).await;
    let mut backup = AnyConnection::connect(&office.empty.url).await.unwrap();
    backup.execute("BEGIN; LOCK TABLE evidence IN ACCESS SHARE MODE").await.unwrap();
    let before = office.parts().await;
    office.round().await;
    assert_eq!((office.spans("k1").await, office.parts().await), (0, before));
    let page = office.app.counters().page(&FleetFigures::default());
    assert!(!page.contains("kioskwatch_retention_last_completed_timestamp_seconds 0\n"), "{page}");
    backup.execute("COMMIT").await.unwrap();
    office.round().await;
    let parts = office.parts().await;
    assert!(parts[0].to > office.now.plus_ms(-470 * DAY), "{parts:?}");
    assert!(parts.last().unwrap().to > office.now.plus_ms(80 * DAY), "{parts:?}");
}

#[tokio::test]
async fn no_month_is_made_by_a_clock_that_is_not_believed() {
    let office = Office::that_received_for(1).await;
    let before = office.parts().await;
    office.round().await;
    assert_eq!(office.parts().await, before);
}
