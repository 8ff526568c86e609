//! A small fleet behind the real router.
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use kioskwatch_domain::change::{
    Admission, Change, CommandRow, CommandState, Correction, CorrectionRow, CorrectionState, EvidenceRow,
    EvidenceSource, EvidenceState, IncidentRow, JournalRecordRow, KioskRow, KioskStateRow, PresenceVerdict,
    RecordOutcome, RestatementRow, RestatementState, SiteRow, TicketEventRow, TicketRow, TicketSource,
    TicketState, Zone,
};
use kioskwatch_proto::{
    CommandId, Epoch, KioskId, SiteId, Timestamp,
    faults::{FaultClass, FaultCode},
    journal::Digest,
    words::{ServiceState, Severity},
};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{
    app::{
        App, FLUSH_EVERY, Hub, HubOptions,
        testing::{self, Folder},
    },
    auth::{NewToken, create_token},
    config::Config,
    http::{Web, router},
    mqtt::Lane,
};

/// What people and devices may write anywhere; nowhere may it become more than text.
pub(super) const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "{{7919*7907}}{% raw %}",
    "javascript:alert(1)",
];

pub(super) struct Fixture {
    pub(super) router: Router,
    pub(super) app: App,
    folder: Folder,
    _stop: watch::Sender<bool>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answered {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// 1: in site `near`, 2: in site `far`.
pub(super) fn ticket_id(n: u128) -> Uuid {
    Uuid::from_u128(0x10 + n)
}

pub(super) fn command_id(n: u128) -> CommandId {
    CommandId(Uuid::from_u128(0x20 + n))
}

/// Of the restatement and of the correction.
pub(super) fn decision_id(n: u128) -> Uuid {
    Uuid::from_u128(0x50 + n)
}

impl Fixture {
    pub(super) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(super) async fn with(config: Config) -> Self {
        Self::of(config, rows).await
    }

    /// With what a server finds at its start.
    pub(super) async fn of(config: Config, rows: impl FnOnce(Timestamp) -> Vec<Change>) -> Self {
        let (app, requests, folder) = testing::app(config, rows).await;
        let link = |lane| testing::link(&app, lane);
        let mut hub = Hub::new(app.clone(), requests, link(Lane::Journal), link(Lane::Beats));
        let (stop, stopped) = watch::channel(false);
        let options =
            HubOptions { server: Uuid::from_u128(9), last_alive_at: None, flush_every: FLUSH_EVERY };
        hub.begin(&options, stopped.clone()).await.unwrap();
        tokio::spawn(hub.run());
        let router = router(Web::new(app.clone(), stopped));
        Self { router, app, folder, _stop: stop }
    }

    /// A token's secret; no sites: all of them.
    pub(super) async fn token(&self, role: &str, sites: &[&str]) -> String {
        self.named_token(role, &format!("{role} {}", sites.join(" ")), sites).await
    }

    pub(super) async fn named_token(&self, role: &str, name: &str, sites: &[&str]) -> String {
        let request = NewToken {
            name: name.into(),
            role: role.into(),
            sites: sites.iter().map(ToString::to_string).collect(),
            expires_days: None,
        };
        create_token(self.app.store(), self.app.clock().now(), request).await.unwrap()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let is_stream =
            head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let text = if is_stream {
            String::new()
        } else {
            String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
        };
        Answered { status: head.status, headers: head.headers, text }
    }

    /// With a token, or as nobody.
    pub(super) async fn ask(&self, method: Method, path: &str, token: &str, body: Option<&str>) -> Answered {
        let mut request = Request::builder().method(method).uri(path).header("host", "kiosk.test");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        self.send(request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap()).await
    }

    /// Nothing speaks of an outage any more.
    pub(super) async fn forget_evidence(&self) {
        self.folder.sabotage("DELETE FROM evidence").await;
    }

    /// A kiosk with dates as they were said when they were to come: by now nobody says all of them alone.
    pub(super) async fn registered(&self, kiosk: &str, dates: &Value) {
        let at = |name: &str| dates[name].as_str().map(|at| Timestamp::parse(at).unwrap());
        let row = KioskRow {
            commissioned_at: at("commissioned_at"),
            decommissioned_at: at("decommissioned_at"),
            ..testing::kiosk(kiosk.parse().unwrap(), self.app.clock().now())
        };
        let actor = kioskwatch_domain::fleet::Actor { name: "test".into() };
        let put = kioskwatch_domain::fleet::Request::PutKiosk(row);
        let deciding = self.app.books().decisions.begin().await.unwrap();
        deciding.ask(&self.app, actor, put).await.unwrap();
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Answered {
        self.ask(Method::GET, path, token, None).await
    }
}

pub(super) fn rows(now: Timestamp) -> Vec<Change> {
    let mut rows = Vec::new();
    for (n, site) in [(1, "near"), (2, "far")] {
        let hostile = HOSTILE[..4].join(" ");
        let site_id = SiteId::new(site).unwrap();
        rows.push(Change::Site(SiteRow {
            id: site_id.clone(),
            name: format!("{site} {hostile}"),
            region: hostile.clone(),
            customer: hostile.clone(),
            zone: Zone::Urban,
            timezone: "Asia/Shanghai".into(),
            service_hours: String::new(),
            contacts: String::new(),
            remote_consent: false,
            updated_at: now,
        }));
        let kiosk = KioskId::new(&format!("K-{n}")).unwrap();
        rows.push(Change::Kiosk(KioskRow {
            id: kiosk.clone(),
            site: Some(site_id.clone()),
            admission: Admission::Accepted,
            model: hostile.clone(),
            serial_no: hostile.clone(),
            commissioned_at: Some(now.plus_ms(-86_400_000)),
            decommissioned_at: None,
            updated_at: now,
        }));
        rows.push(Change::KioskState(Box::new(state(&kiosk, now))));
        ticket(&mut rows, u128::try_from(n).unwrap(), &kiosk, &site_id, now);
        journal(&mut rows, &kiosk, now);
        decisions(&mut rows, u128::try_from(n).unwrap(), &kiosk, now);
        rows.push(Change::Command(Box::new(command(u128::try_from(n).unwrap(), &kiosk, now))));
    }
    rows
}

/// The journal of every kiosk here.
pub(super) fn epoch() -> Epoch {
    Epoch(Uuid::from_u128(0x40))
}

/// One record, and what it proves of the last hour.
fn journal(rows: &mut Vec<Change>, kiosk: &KioskId, now: Timestamp) {
    let raw = HOSTILE.join(" ");
    rows.push(Change::JournalRecord(JournalRecordRow {
        kiosk: kiosk.clone(),
        epoch: epoch(),
        seq: 1,
        kind: HOSTILE[0].into(),
        at: now.plus_ms(-3_600_000),
        placed_at: now.plus_ms(-3_600_000),
        received_at: now,
        outcome: RecordOutcome::Quarantined,
        reason: Some(HOSTILE[1].into()),
        digest: Digest::of(raw.as_bytes()),
        raw: raw.into(),
    }));
    rows.push(Change::Evidence(EvidenceRow {
        kiosk: kiosk.clone(),
        source: EvidenceSource::Journal,
        from: now.plus_ms(-3_600_000),
        to: now,
        state: EvidenceState::Oos,
        cause: Some(HOSTILE[2].into()),
        received_at: Some(now),
        epoch: Some(epoch()),
        seq: Some(1),
        interval_s: None,
    }));
}

/// Somebody waits for a decision about this kiosk's past.
fn decisions(rows: &mut Vec<Change>, n: u128, kiosk: &KioskId, now: Timestamp) {
    rows.push(Change::Restatement(Box::new(RestatementRow {
        id: decision_id(n),
        kiosk: kiosk.clone(),
        month: "2026-10".parse().unwrap(),
        base_version: 1,
        state: RestatementState::Proposed,
        fingerprint: HOSTILE[0].into(),
        why: HOSTILE[1].into(),
        before: "{}".into(),
        after: "{}".into(),
        proposed_at: now,
        decided: None,
    })));
    let (kiosk, class) = (Some(kiosk.clone()), "force_majeure".into());
    rows.push(Change::Correction(Box::new(CorrectionRow {
        id: decision_id(n),
        what: Correction::Exclusion { kiosk, site: None, class, agreed_at: None },
        from: now.plus_ms(-7_200_000),
        to: now.plus_ms(-3_600_000),
        reason: HOSTILE[2].into(),
        state: CorrectionState::Requested,
        requested_by: HOSTILE[3].into(),
        requested_at: now,
        decided: None,
        effect: "{}".into(),
    })));
}

fn state(kiosk: &KioskId, now: Timestamp) -> KioskStateRow {
    KioskStateRow {
        kiosk: kiosk.clone(),
        presence: PresenceVerdict::Online,
        presence_since: now,
        presence_reason: "heartbeat".into(),
        last_seen_at: Some(now),
        session: None,
        boot: None,
        epoch: None,
        interval_s: 30,
        service: Some(ServiceState::Degraded),
        service_since: Some(now),
        service_cause: Some(HOSTILE[0].into()),
        peripherals: r#"{"printer":{"status":"online","faults":["paper_out"]}}"#.into(),
        inventory: String::new(),
        clock_offset_ms: None,
        command_counter: 0,
    }
}

fn command(n: u128, kiosk: &KioskId, now: Timestamp) -> CommandRow {
    CommandRow {
        id: command_id(n),
        kiosk: kiosk.clone(),
        action: "reboot".into(),
        args: "{}".into(),
        actor: HOSTILE[1].into(),
        approver: None,
        ticket: None,
        state: CommandState::AwaitingApproval,
        counter: 0,
        requested_at: now,
        issued_at: None,
        not_after: now.plus_ms(300_000),
        sent_at: None,
        attempts: 0,
        finished_at: None,
        reason: Some(HOSTILE[0].into()),
        result: Some(serde_json::json!({ HOSTILE[0]: HOSTILE[1] }).to_string()),
    }
}

fn ticket(rows: &mut Vec<Change>, n: u128, kiosk: &KioskId, site: &SiteId, now: Timestamp) {
    let fault = FaultCode::new("paper_out").unwrap();
    rows.push(Change::Ticket(Box::new(TicketRow {
        state: TicketState::Triaged,
        kiosk: Some(kiosk.clone()),
        site: Some(site.clone()),
        class: FaultClass::Operator,
        source: TicketSource::Agent,
        resolution: Some(HOSTILE[2].into()),
        assignee: Some(HOSTILE[3].into()),
        ..TicketRow::new(ticket_id(n), u64::try_from(n).unwrap(), fault.clone(), now)
    })));
    rows.push(Change::Incident(Box::new(IncidentRow {
        id: Uuid::from_u128(0x30 + n),
        fingerprint: format!("{kiosk}/printer/paper_out"),
        kiosk: Some(kiosk.clone()),
        site: Some(site.clone()),
        peripheral: None,
        fault,
        severity: Severity::Minor,
        opened_at: now,
        noticed_at: now,
        closed_at: None,
        close_reason: None,
        raw: Some("1b40".into()),
        text: Some(HOSTILE[0].into()),
        ticket: Some(ticket_id(n)),
        triage: "ticket".into(),
        triage_reason: HOSTILE[1].into(),
        triage_due_at: None,
        parent: None,
    })));
    rows.push(Change::TicketEvent(TicketEventRow {
        ticket: ticket_id(n),
        n: 1,
        at: now,
        actor: HOSTILE[0].into(),
        action: "note".into(),
        from: None,
        to: TicketState::Triaged,
        reason: HOSTILE.join(" "),
    }));
}
