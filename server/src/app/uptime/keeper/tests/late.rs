//! Months whose turn comes late: they could not be signed in their time, or nobody knew of them.
use kioskwatch_domain::{
    change::{
        CommissionedRow, EvidenceRow, EvidenceSource, LivenessRow, MonthRow, ServiceSpan, SiteRow, Zone,
    },
    fleet::{Input, Share},
    testing::ScriptedAgent,
    uptime::Commissioned,
};

use super::*;
use crate::app::{
    retention::Retention,
    uptime::{UptimeAnswer, UptimeScope, books::Question},
};

const DAY_MS: i64 = 86_400_000;

impl Office {
    /// The month so many before the one that runs.
    fn back(&self, months: usize) -> Month {
        let running = Month::at(self.app.default_zone(), self.app.clock().now().secs());
        (0..months).fold(running, |month, _| month.previous())
    }

    fn start(&self, month: Month) -> Timestamp {
        ms(month.period(self.app.default_zone()).from)
    }

    async fn commit(&self, changes: &[Change]) {
        self.app.store().commit(changes).await.unwrap();
        self.note(changes);
    }

    /// The server received then.
    async fn listened(&self, from: Timestamp, to: Timestamp) {
        self.commit(&[Change::Liveness(LivenessRow { server: Uuid::nil(), from, to })]).await;
    }

    async fn changed(&self, change: impl FnOnce(&mut KioskRow)) {
        let mut row = self.app.store().kiosk(&Scope::All, &id(0)).await.unwrap().unwrap().kiosk;
        change(&mut row);
        let stretches = Commissioned::of([ServiceSpan::of(&row)]);
        self.commit(&[Change::Kiosk(row)]).await;
        // Dates of time that has been are never said without this; here the kiosk's own row says it all.
        let known_from = CommissionedRow::ALWAYS;
        let said = CommissionedRow { kiosk: id(0), known_from, stretches };
        self.note(&[Change::Commissioned(said)]);
    }

    /// All that waits, and a round of all.
    async fn round(&mut self, keeper: &mut Keeper) {
        self.app.books().took_in(self.app.clock().now());
        keeper.began = None;
        while self.step(keeper, None).await {}
    }

    /// What is old enough goes.
    async fn forget(&self) {
        let mut retention = Retention::new(self.app.clone());
        while retention.step().await.unwrap() {}
    }

    async fn rows(&self) -> Vec<MonthRow> {
        self.app.store().months_of_kiosks(&[id(0)], "2000-01".parse().unwrap()).await.unwrap()
    }

    /// Of the months that ended more than a month ago.
    async fn signed(&self) -> Vec<Month> {
        let rows = self.rows().await;
        rows.into_iter()
            .filter(|row| row.version == 1 && row.month <= self.back(2))
            .map(|row| row.month)
            .collect()
    }
}

#[tokio::test]
async fn a_month_that_could_not_be_signed_in_its_time_is_signed_as_soon_as_it_can_be() {
    let mut office = Office::of(1, false).await;
    let from = office.start(office.back(5));
    office.changed(|row| row.commissioned_at = Some(from)).await;
    // Away from the middle of a month until just now: no journal had time to arrive.
    office.listened(from, office.start(office.back(4)).plus_ms(10 * DAY_MS)).await;
    let mut keeper = Keeper::new(office.app.clone());
    for _ in 0..2 {
        office.round(&mut keeper).await;
        assert_eq!(office.signed().await, [office.back(5)]);
    }
    let now = office.app.clock().now();
    office.listened(now.plus_ms(-2 * DAY_MS), now).await;
    office.round(&mut keeper).await;
    assert_eq!(office.signed().await, [5, 4, 3, 2].map(|n| office.back(n)));
}

#[tokio::test]
async fn a_kiosk_that_turns_out_to_have_served_for_months_gets_all_of_them() {
    let mut office = Office::of(1, false).await;
    let from = office.start(office.back(5));
    office.listened(from, office.app.clock().now()).await;
    let mut keeper = Keeper::new(office.app.clone());
    office.round(&mut keeper).await;
    assert_eq!(office.rows().await, []);
    office.changed(|row| row.commissioned_at = Some(office.start(office.back(3)))).await;
    office.round(&mut keeper).await;
    assert_eq!(office.signed().await, [3, 2].map(|n| office.back(n)));
    office.changed(|row| row.commissioned_at = Some(from)).await;
    office.round(&mut keeper).await;
    assert_eq!(office.signed().await, [5, 4, 3, 2].map(|n| office.back(n)));
}

#[tokio::test]
async fn evidence_of_a_month_that_nobody_signed_stays_until_somebody_can() {
    let mut office = Office::of(1, false).await;
    let (old, from, to) = (office.back(16), office.start(office.back(16)), office.start(office.back(15)));
    office.changed(|row| row.commissioned_at = Some(from)).await;
    office.listened(from, to).await;
    let mut keeper = Keeper::new(office.app.clone());
    office.round(&mut keeper).await;
    let open = office.rows().await.into_iter().next().unwrap();
    assert!(open.month == office.back(14) && open.version == 0, "{open:?}");
    let evidence = testing::whole(id(0), from, to);
    let open = MonthRow { month: old, period_from: from, period_to: to, ..open };
    office.commit(&[evidence, Change::Month(Box::new(open))]).await;
    let store = office.app.store().clone();
    let kept = async || store.evidence(&Scope::All, &[id(0)], from, to).await.unwrap().len();
    office.round(&mut keeper).await;
    assert_eq!(office.signed().await, []);
    let now = office.app.clock().now();
    office.listened(now.plus_ms(-3 * DAY_MS), now).await;
    office.forget().await;
    assert_eq!(kept().await, 1);
    office.round(&mut keeper).await;
    office.forget().await;
    let rows = office.rows().await;
    let signed = rows.iter().find(|row| row.month == old && row.version == 1).unwrap();
    let on = signed.sums.figures.on;
    assert!(on.num == on.den && on.den == to.since(from) / 1_000, "{on:?}");
    assert_eq!(kept().await, 0, "it is not needed any more");
}

#[tokio::test]
async fn a_month_waits_for_evidence_of_it_that_the_database_refuses() {
    let mut office = Office::of(1, false).await;
    let (from, to) = (office.start(office.back(2)), office.start(office.back(1)));
    office.changed(|row| row.commissioned_at = Some(from)).await;
    office.listened(from, office.app.clock().now()).await;
    let mut ids = Ids::seeded(1);
    // Heard just before the month ended, and refused since then.
    let message = ScriptedAgent::new(id(0).as_str(), from).heartbeat(to.plus_ms(-1_000));
    office.app.fleet_mut().heard(to.plus_ms(-1_000), &id(0), &message);
    let look = office.app.fleet().looks_of(Share::ALL, to)[0];
    let app = office.app.clone();
    let mut tell = |input: Input| {
        let plan = app.fleet().plan(app.clock().now(), &[input], &mut ids);
        let changes = plan.changes.clone();
        app.fleet_mut().adopt(plan).unwrap();
        changes
    };
    tell(Input::LookFailed { look, reason: "in a test".into() });
    let mut keeper = Keeper::new(office.app.clone());
    office.round(&mut keeper).await;
    assert_eq!(office.signed().await, []);
    let written = tell(Input::SweepPart(vec![look]));
    assert!(matches!(written[..], [.., Change::EvidenceGap(_)]), "{written:?}");
    office.commit(&written).await;
    office.round(&mut keeper).await;
    assert_eq!(office.signed().await, [office.back(2)]);
}

#[tokio::test]
async fn hours_that_are_corrected_while_the_bookkeeper_waits_are_those_it_books() {
    let office = Office::of(1, true).await;
    let site = |service_hours: &str| {
        Change::Site(SiteRow {
            id: "S-1".parse().unwrap(),
            name: String::new(),
            region: String::new(),
            customer: String::new(),
            zone: Zone::Urban,
            timezone: "UTC".to_owned(),
            service_hours: service_hours.to_owned(),
            contacts: "[]".to_owned(),
            remote_consent: false,
            updated_at: Timestamp(0),
        })
    };
    office.commit(&[site("")]).await;
    office.changed(|row| row.site = Some("S-1".parse().unwrap())).await;
    let app = office.app.clone();
    let mut keeper = Keeper::new(app.clone());
    keeper.places().await.unwrap();
    let deciding = app.books().decisions.begin().await.unwrap();
    let step = tokio::spawn(async move { keeper.step().await });
    for _ in 0..50 {
        app.store().kiosk(&Scope::All, &id(0)).await.unwrap();
    }
    // Never open.
    office.commit(&[site(r#"[{"effective_from":"2000-01-01","weekly":{}}]"#)]).await;
    drop(deciding);
    assert!(step.await.unwrap().unwrap());
    assert_eq!(office.rows().await, []);
}

#[tokio::test]
async fn sums_of_the_running_month_are_forgotten_when_more_becomes_known_of_what_they_count() {
    let mut office = Office::of(1, true).await;
    let now = office.app.clock().now();
    office.listened(now.plus_ms(-3_600_000), now).await;
    let mut keeper = Keeper::new(office.app.clone());
    office.round(&mut keeper).await;
    let month = office.back(0);
    let booked_at = office.rows().await[0].booked_at;
    for (from, to, is_known_again) in [
        (booked_at, booked_at.plus_ms(60_000), true),
        (now.plus_ms(-1_800_000), now.plus_ms(-1_200_000), false),
    ] {
        let app = office.app.clone();
        let question = Question::of(&Scope::All, &UptimeScope::Fleet, (month, month));
        let generation = app.books().answer(&question).err().unwrap_or_default();
        app.books().remember(question.clone(), generation, &UptimeAnswer::default());
        let Change::Evidence(whole) = testing::whole(id(0), from, to) else { unreachable!() };
        let late = EvidenceRow { source: EvidenceSource::Journal, received_at: Some(now), ..whole };
        office.commit(&[Change::Evidence(late)]).await;
        app.books().month_changed(month, false);
        while office.step(&mut keeper, None).await {}
        assert_eq!(app.books().answer(&question).is_ok(), is_known_again, "{from} to {to}");
    }
}
