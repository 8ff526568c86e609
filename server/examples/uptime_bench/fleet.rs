//! The made-up fleet: its sites, kiosks, owners, evidence and signed months.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    change::{
        Admission, AssignmentRow, Change, ClockRow, ClockState, EvidenceRow, EvidenceSource, EvidenceState,
        GroupKind, IncidentRow, JournalRecordRow, KioskRow, MonthRow, MonthSums, RecordOutcome, SiteRow,
        TicketRow, TicketSource, Zone,
    },
    interval::Interval,
    uptime::{Cause, Figures, Month, Ratio},
};
use kioskwatch_proto::{
    Epoch, KioskId, PeripheralName, SiteId, Timestamp,
    faults::{FaultClass, FaultCode},
    journal::Digest,
    words::Severity,
};
use uuid::Uuid;

pub(crate) const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;
pub(crate) const KIOSKS_A_SITE: u64 = 3;
pub(crate) const ENGINEERS: u64 = 400;
/// The kiosks whose own series a scrape shows.
pub(crate) const SCRAPED: u64 = 5_000;
/// One kiosk of so many is out of paper, and has a ticket.
const OUT_OF_PAPER: u64 = 20;
const SINCE: Timestamp = secs(1_700_000_000);

pub(crate) const fn secs(t: i64) -> Timestamp {
    Timestamp(t * 1_000)
}

pub(crate) fn kiosk_id(n: u64) -> KioskId {
    KioskId::new(&format!("K-{n:06}")).expect("a good id")
}

pub(crate) fn site_id(n: u64) -> SiteId {
    SiteId::new(&format!("S-{n:05}")).expect("a good id")
}

pub(crate) fn site(n: u64) -> Change {
    Change::Site(SiteRow {
        id: site_id(n),
        name: format!("site {n}"),
        region: format!("R-{}", n % 30),
        customer: format!("C-{}", n % 7),
        zone: Zone::Urban,
        timezone: ZONE.name().to_owned(),
        service_hours: String::new(),
        contacts: "[]".to_owned(),
        remote_consent: false,
        updated_at: Timestamp(0),
    })
}

pub(crate) fn kiosk(n: u64) -> KioskRow {
    KioskRow {
        id: kiosk_id(n),
        site: Some(site_id(n / KIOSKS_A_SITE)),
        admission: Admission::Accepted,
        model: format!("KT-{}", n % 3),
        serial_no: n.to_string(),
        // Those whose series are shown have each its own date, as in a fleet that grew.
        commissioned_at: Some(SINCE.plus_ms(n.min(SCRAPED).cast_signed() * 60_000)),
        decommissioned_at: None,
        updated_at: Timestamp(0),
    }
}

/// At its site, in an engineer's hands.
pub(crate) fn owners(n: u64) -> [Change; 2] {
    [(GroupKind::Site, site_id(n / KIOSKS_A_SITE).to_string()), (GroupKind::Engineer, engineer(n))].map(
        |(group, group_id)| {
            Change::Assignment(AssignmentRow {
                kiosk: kiosk_id(n),
                group,
                group_id,
                from: SINCE,
                to: None,
                said: None,
            })
        },
    )
}

pub(crate) fn engineer(n: u64) -> String {
    format!("E-{}", n % ENGINEERS)
}

/// `count` spans that fill a period: up, and every second time briefly not.
pub(crate) fn history(n: u64, period: Interval, count: i64) -> impl Iterator<Item = Change> {
    let step = (period.length() / count).max(1);
    (0..count).map(move |i| {
        let from = period.from + i * step;
        Change::Evidence(EvidenceRow {
            kiosk: kiosk_id(n),
            source: EvidenceSource::Journal,
            from: secs(from),
            to: secs(from + step),
            state: if i % 2 == 0 { EvidenceState::Full } else { EvidenceState::Oos },
            cause: (i % 2 == 1).then(|| "hardware".to_owned()),
            received_at: Some(secs(period.to)),
            epoch: None,
            seq: None,
            interval_s: None,
        })
    })
}

pub(crate) const fn is_out_of_paper(n: u64) -> bool {
    n.is_multiple_of(OUT_OF_PAPER)
}

/// An open fault, its ticket, and a clock of that which runs.
pub(crate) fn out_of_paper(n: u64, now: Timestamp) -> [Change; 3] {
    let fault = FaultCode::new("paper_out").expect("a code of ours");
    let printer = PeripheralName::new("printer").expect("a good name");
    let kiosk = kiosk_id(n);
    let id = Uuid::from_u128(0x1000 + u128::from(n));
    let ticket = TicketRow {
        kiosk: Some(kiosk.clone()),
        site: Some(site_id(n / KIOSKS_A_SITE)),
        peripheral: Some(printer.clone()),
        class: FaultClass::Operator,
        source: TicketSource::Agent,
        ..TicketRow::new(id, n + 1, fault.clone(), now)
    };
    let clock = ClockRow {
        ticket: id,
        name: "solution".to_owned(),
        state: ClockState::Running,
        started_at: now,
        budget_s: 7 * 86_400,
        warn_at: None,
        due_at: Some(now.plus_ms(7 * 86_400_000)),
        remaining_s: None,
        stopped_at: None,
        breached_at: None,
    };
    let incident = IncidentRow {
        id,
        fingerprint: format!("{kiosk}/printer/paper_out"),
        kiosk: Some(kiosk),
        site: None,
        peripheral: Some(printer),
        fault,
        severity: Severity::Minor,
        opened_at: now,
        noticed_at: now,
        closed_at: None,
        close_reason: None,
        raw: None,
        text: None,
        ticket: Some(id),
        triage: "ticket_opened".into(),
        triage_reason: String::new(),
        triage_due_at: None,
        parent: None,
    };
    [Change::Ticket(Box::new(ticket)), Change::Clock(clock), Change::Incident(Box::new(incident))]
}

/// A journal record as an agent sends one for every change.
pub(crate) fn record(n: u64, seq: u64) -> Change {
    let raw = format!(
        r#"{{"seq":{seq},"boot":"6f1c1a52-1f64-4f0c-8b61-9a3f1c2f7a10","at":"2026-11-21T08:00:00.123Z","mono_ms":{seq},"kind":"fault","peripheral":"printer","fault":"paper_low","state":"raised","severity":"minor","detail":{{"raw":"1004{seq:08x}","text":"near end"}}}}"#
    );
    Change::JournalRecord(JournalRecordRow {
        kiosk: kiosk_id(n),
        epoch: Epoch(Uuid::from_u128(n.into())),
        seq,
        kind: "fault".into(),
        at: SINCE,
        placed_at: SINCE,
        received_at: SINCE,
        outcome: RecordOutcome::Applied,
        reason: None,
        digest: Digest::of(raw.as_bytes()),
        raw: raw.into(),
    })
}

pub(crate) fn booked(n: u64, month: Month, version: u32) -> Change {
    let (period, site) = (month.period(ZONE), n / KIOSKS_A_SITE);
    let (length, down) = (period.length(), i64::try_from(n % 50_000).unwrap_or(0));
    let ratio = Ratio::new(length - down, length);
    let figures = Figures {
        accountable_s: length,
        known_s: length,
        on: ratio,
        avail: ratio,
        full: ratio,
        online: ratio,
        causes: BTreeMap::from([(Cause::Hardware, down)]),
    };
    Change::Month(Box::new(MonthRow {
        version,
        site: Some(site_id(site)),
        engineer: Some(engineer(n)),
        region: format!("R-{}", site % 30),
        customer: format!("C-{}", site % 7),
        model: format!("KT-{}", n % 3),
        frozen_at: (version > 0).then(|| secs(period.to + 86_400)),
        sums: MonthSums {
            figures,
            excluded_s: 0,
            raw_on: ratio,
            raw_avail: ratio,
            raw_full: ratio,
            outages: 3,
            outages_by_cause: BTreeMap::from([(Cause::Hardware, 3)]),
            longest_outage_s: down,
            longest_outage_at: Some(secs(period.from)),
        },
        fingerprint: format!("{n:064x}"),
        inputs: r#"{"commissioned":"0123456789abcdef","evidence":"0123456789abcdef","exclusions":"0123456789abcdef","owners":"0123456789abcdef","period":"0123456789abcdef","server_outages":"0123456789abcdef","service_hours":"0123456789abcdef"}"#.to_owned(),
        ..MonthRow::nothing(kiosk_id(n), month, period, secs(period.to + 86_400))
    }))
}
