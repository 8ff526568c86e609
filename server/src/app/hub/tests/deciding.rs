//! What two people decide about the books while the database lets neither know what became of it.
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, CorrectionState, RestatementRow, RestatementState},
    uptime::books::Verdict,
};
use tokio::task::JoinHandle;

use super::*;
use crate::app::{DecisionError, RequestError};

const ASKED: Uuid = Uuid::from_u128(7);

type Decided = JoinHandle<Result<CorrectionRow, DecisionError>>;

/// An exclusion that somebody asked for.
fn correction(now: Timestamp) -> Change {
    let (kiosk, class) = (KioskId::new("K-1").ok(), "force_majeure".to_owned());
    Change::Correction(Box::new(CorrectionRow {
        id: ASKED,
        what: Correction::Exclusion { kiosk, site: None, class, agreed_at: None },
        from: now.plus_ms(-7_200_000),
        to: now.plus_ms(-3_600_000),
        reason: "flood".into(),
        state: CorrectionState::Requested,
        requested_by: "manager".into(),
        requested_at: now,
        decided: None,
        effect: "{}".into(),
    }))
}

impl Rig {
    async fn asked_for_an_exclusion() -> Self {
        Self::start(|now| vec![kiosk(now.plus_ms(-86_400_000)), correction(now)]).await
    }

    fn decides(&self, name: &str, approve: bool) -> Decided {
        let (app, actor) = (self.app.clone(), Actor { name: name.to_owned() });
        let verdict = Verdict { approve, reason: "seen".into() };
        tokio::spawn(async move { app.decide_correction(actor, &Scope::All, ASKED, &verdict).await })
    }

    /// The turn of the hub in which it takes what somebody asks.
    async fn takes(&mut self) -> Turn {
        let asked = self.hub.requests.recv().await.unwrap();
        let mut turn = Turn::default();
        self.hub.take_request(&mut turn, asked);
        turn
    }

    /// While the hub serves.
    async fn served(&mut self, mut decided: Decided) -> Result<CorrectionRow, DecisionError> {
        loop {
            tokio::select! {
                outcome = &mut decided => return outcome.unwrap(),
                turn = self.takes() => self.hub.decide(turn).await.unwrap(),
            }
        }
    }

    /// What became of it, and how much is forgiven to the kiosk.
    async fn outcome(&self) -> (CorrectionState, usize) {
        let end = Timestamp(i64::MAX / 2);
        let forgiven = self.app.store().exclusions_about(&["K-1"], Timestamp(0), end).await.unwrap();
        (state(&self.app).await, forgiven.len())
    }
}

async fn state(app: &App) -> CorrectionState {
    app.store().correction(&Scope::All, ASKED).await.unwrap().unwrap().state
}

/// Their connection is lost.
async fn goes_away(decided: Decided) {
    decided.abort();
    assert!(decided.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn nobody_decides_against_a_decision_whose_asker_has_gone_while_it_may_still_be_committed() {
    let mut rig = Rig::asked_for_an_exclusion().await;
    let first = rig.decides("first", false);
    let turn = rig.takes().await;
    let held_up = rig.folder.held_up().await;
    goes_away(first).await;
    let second = rig.decides("second", true);
    let app = rig.app.clone();
    // Time enough to look and to ask, if nobody keeps the second one from it.
    let reads = async {
        for _ in 0..200 {
            assert_eq!(state(&app).await, CorrectionState::Requested);
        }
        drop(held_up);
    };
    let (committed, ()) = tokio::join!(rig.hub.decide(turn), reads);
    committed.unwrap();
    assert_eq!(rig.outcome().await, (CorrectionState::Rejected, 0));
    let refused = rig.served(second).await.unwrap_err();
    let DecisionError::Request(RequestError::Refused(_)) = refused else { panic!("{refused:?}") };
    assert_eq!(rig.outcome().await, (CorrectionState::Rejected, 0));
}

#[tokio::test]
async fn a_decision_whose_asker_has_gone_before_the_hub_took_it_is_none_and_keeps_nobody_from_deciding() {
    let mut rig = Rig::asked_for_an_exclusion().await;
    let first = rig.decides("first", false);
    while rig.app.waiting_requests() == 0 {
        tokio::task::yield_now().await;
    }
    goes_away(first).await;
    assert!(rig.app.books().decisions.is_anybody_deciding(), "nobody knows yet that it will never be");
    let second = rig.decides("second", true);
    assert_eq!(rig.served(second).await.unwrap().state, CorrectionState::Approved);
    assert_eq!(rig.outcome().await, (CorrectionState::Approved, 1));
}

#[tokio::test]
async fn a_decision_that_can_never_be_committed_keeps_nobody_from_deciding() {
    let mut rig = Rig::asked_for_an_exclusion().await;
    rig.sabotage("CREATE TRIGGER poison BEFORE INSERT ON exclusion BEGIN SELECT RAISE(ABORT, 'poison'); END")
        .await;
    let first = rig.decides("first", true);
    let poisoned = rig.served(first).await.unwrap_err();
    assert!(matches!(poisoned, DecisionError::Request(RequestError::Poisoned(_))), "{poisoned:?}");
    assert!(!rig.app.books().decisions.is_anybody_deciding());
    let second = rig.decides("second", false);
    assert_eq!(rig.served(second).await.unwrap().state, CorrectionState::Rejected);
}

#[tokio::test]
async fn nothing_is_booked_by_somebody_who_keeps_nobody_from_deciding() {
    let rig = Rig::asked_for_an_exclusion().await;
    let book = Request::Book { changes: Vec::new(), also: None };
    let refused = rig.app.request(Actor { name: "hurried".into() }, book).await;
    assert!(matches!(refused, Err(RequestError::Poisoned(_))), "{refused:?}");
    assert_eq!(rig.app.waiting_requests(), 0);
}

/// What somebody proposed when the journal of the month had not come yet.
async fn proposed(app: &App, month: Month) {
    let (id, now) = (KioskId::new("K-1").unwrap(), app.clock().now());
    let asked = [(id.clone(), month)].into();
    let comes_to = app.fingerprints_at(&asked, now.plus_ms(60_000)).await.unwrap().into_values().next();
    let row = |version, fingerprint: &str| {
        let nothing = MonthRow::nothing(id.clone(), month, month.period(chrono_tz::Asia::Shanghai), now);
        Change::Month(Box::new(MonthRow { version, fingerprint: fingerprint.to_owned(), ..nothing }))
    };
    let fingerprint = comes_to.unwrap();
    let rows = [row(0, &fingerprint), row(1, "of what was known at the freeze")];
    let proposal = RestatementRow {
        id: ASKED,
        kiosk: id,
        month,
        base_version: 1,
        state: RestatementState::Proposed,
        fingerprint,
        why: "evidence".into(),
        before: "{}".into(),
        after: "{}".into(),
        proposed_at: now,
        decided: None,
    };
    app.store().commit(&rows).await.unwrap();
    app.store().commit(&[Change::Restatement(Box::new(proposal))]).await.unwrap();
}

#[tokio::test]
async fn a_version_is_signed_with_nothing_less_than_what_had_been_received_although_it_was_not_saved() {
    const DAY: i64 = 86_400_000;
    let rig = Rig::start(|now| vec![kiosk(now.plus_ms(-100 * DAY))]).await;
    let app = rig.app.clone();
    let now = app.clock().now();
    let month = Month::at(chrono_tz::Asia::Shanghai, now.secs()).previous();
    proposed(&app, month).await;
    let then = Timestamp(month.period(chrono_tz::Asia::Shanghai).from * 1_000 + DAY);
    let mut agent = ScriptedAgent::new("K-1", then);
    agent.service(then, ServiceState::OutOfService);
    agent.service(then.plus_ms(DAY), ServiceState::InService);
    let records = agent.journal.iter().map(|(_, record)| record.as_str()).collect::<Vec<_>>().join(",");
    let payload = format!(r#"{{"epoch":"{}","first":1,"records":[{records}]}}"#, agent.epoch);

    let held_up = rig.folder.held_up().await;
    // Versions are told apart by whole seconds.
    let before = now.plus_ms(-2_000);
    rig.journal.message(received(&agent, Channel::Journal, payload.into(), before)).await.unwrap();
    let hub = tokio::spawn(rig.hub.run());
    while rig.journal.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    let decider = app.clone();
    let decided = tokio::spawn(async move {
        let verdict = Verdict { approve: true, reason: "seen".into() };
        decider.decide_restatement(&Actor { name: "manager".into() }, &Scope::All, ASKED, &verdict).await
    });
    let state = async || app.store().restatement(&Scope::All, ASKED).await.unwrap().unwrap().state;
    // Time enough to look and to ask, if nobody waits for what was received.
    for _ in 0..200 {
        assert_eq!(state().await, RestatementState::Proposed);
    }
    drop(held_up);
    let refused = decided.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("more is known by now"), "{refused}");
    assert_eq!(state().await, RestatementState::Proposed);
    rig.stop.send(true).unwrap();
    hub.await.unwrap().unwrap();
}
