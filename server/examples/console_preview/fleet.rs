//! Four sites with everything a page must be able to show.
use kioskwatch_domain::{
    change::{
        Admission, Change, ClockRow, ClockState, CommandEventRow, CommandRow, CommandState, EvidenceRow,
        EvidenceSource, EvidenceState, IncidentRow, KioskRow, KioskStateRow, PresenceVerdict, SiteRow,
        TicketEventRow, TicketRow, TicketSource, TicketState, TransitionRow, Zone,
    },
    ticket::{BY_RULE, Because, SELF_RECOVERED},
    triage::Decision,
};
use kioskwatch_proto::{
    CommandId, KioskId, PeripheralName, SiteId, Timestamp,
    faults::{Catalogue, FaultCode},
    words::{ServiceState, Severity},
};
use uuid::Uuid;

use crate::history;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Id, name, region, customer, zone.
const SITES: [(&str, &str, &str, &str, Zone); 4] = [
    ("bj-west", "北京西站南广场", "华北", "城市公交集团", Zone::Urban),
    ("sh-hq", "上海虹桥枢纽 B2 层", "华东", "轨道交通公司", Zone::Urban),
    ("cd-tf", "成都天府广场支行", "西南", "示例银行", Zone::Suburb),
    ("xz-port", "吉隆口岸联检大楼", "西藏", "口岸管理局", Zone::Remote),
];

/// What a kiosk is like: presence, service, the peripheral and its fault.
struct Like {
    presence: PresenceVerdict,
    service: ServiceState,
    fault: Option<(&'static str, &'static str)>,
    seen_ms: i64,
}

fn like(site: usize, n: usize) -> Like {
    let well = Like {
        presence: PresenceVerdict::Online,
        service: ServiceState::InService,
        fault: None,
        seen_ms: 9_000,
    };
    match (site, n) {
        (0, 1) => Like {
            service: ServiceState::OutOfService,
            fault: Some(("acceptor", "note_jam(stacker)")),
            seen_ms: 4_000,
            ..well
        },
        (0, 4) => Like { service: ServiceState::Degraded, fault: Some(("printer", "paper_out")), ..well },
        (0, 6) => Like { fault: Some(("printer", "paper_low")), ..well },
        (1, 2) => Like { service: ServiceState::Supervised, ..well },
        (1, 3) => Like { service: ServiceState::Degraded, fault: Some(("ups", "on_battery")), ..well },
        (3, _) => Like { presence: PresenceVerdict::Offline, seen_ms: 47 * MINUTE, ..well },
        (2, 5) => Like { presence: PresenceVerdict::Unknown, seen_ms: 9 * HOUR, ..well },
        _ => well,
    }
}

/// The whole fleet as rows.
pub(crate) fn changes(now: Timestamp) -> Vec<Change> {
    let mut changes = Vec::from(history::liveness(now));
    for (index, (id, name, region, customer, zone)) in SITES.into_iter().enumerate() {
        changes.push(Change::Site(SiteRow {
            id: site(id),
            name: name.into(),
            region: region.into(),
            customer: customer.into(),
            zone,
            timezone: "Asia/Shanghai".into(),
            service_hours: String::new(),
            contacts: String::new(),
            remote_consent: false,
            updated_at: now,
        }));
        for n in 1..=[9, 12, 7, 3][index] {
            kiosk(&mut changes, now, index, n);
        }
    }
    tickets(&mut changes, now);
    commands(&mut changes, now);
    changes
}

fn site(id: &str) -> SiteId {
    SiteId::new(id).expect("a name of this file")
}

fn kiosk_id(site: usize, n: usize) -> KioskId {
    let prefix = ["BJ", "SH", "CD", "XZ"][site];
    KioskId::new(&format!("{prefix}-{n:03}")).expect("a name of this file")
}

fn kiosk(changes: &mut Vec<Change>, now: Timestamp, site_index: usize, n: usize) {
    let id = kiosk_id(site_index, n);
    let like = like(site_index, n);
    changes.push(Change::Kiosk(KioskRow {
        id: id.clone(),
        site: Some(site(SITES[site_index].0)),
        admission: Admission::Accepted,
        model: ["TVM-3200", "TVM-3200", "STM-80C", "STM-80"][site_index].into(),
        serial_no: format!("SN{site_index}{n:05}"),
        commissioned_at: Some(now.plus_ms(-history::DAYS * 24 * HOUR)),
        decommissioned_at: None,
        updated_at: now,
    }));
    let status = |name: &str| match like.fault {
        Some((at, "paper_low")) if at == name => r#"{"status":"online","faults":["paper_low"]}"#.to_owned(),
        Some((at, code)) if at == name => format!(r#"{{"status":"hardware_error","faults":["{code}"]}}"#),
        _ => r#"{"status":"online","faults":[]}"#.to_owned(),
    };
    changes.push(Change::KioskState(Box::new(KioskStateRow {
        kiosk: id.clone(),
        presence: like.presence,
        presence_since: now.plus_ms(-like.seen_ms - 3 * HOUR),
        presence_reason: "missed_heartbeats".into(),
        last_seen_at: Some(now.plus_ms(-like.seen_ms)),
        session: None,
        boot: None,
        epoch: None,
        interval_s: 30,
        service: Some(like.service),
        service_since: Some(now.plus_ms(-72 * MINUTE)),
        service_cause: like.fault.map(|(name, code)| format!("{name}: {code}")),
        peripherals: format!(
            r#"{{"printer":{},"acceptor":{},"ups":{}}}"#,
            status("printer"),
            status("acceptor"),
            status("ups")
        ),
        inventory: INVENTORY.into(),
        clock_offset_ms: Some(12),
        command_counter: 0,
    })));
    history::add(changes, now, &id);
    day(changes, now, &id, &like);
}

const INVENTORY: &str = r#"{"agent_version":"0.1.0","os":"Debian 12 (x86_64)",
"boot":"00000000-0000-4000-8000-000000000001","epoch":"00000000-0000-4000-8000-000000000002",
"config_hash":"7d3e","peripherals":[
{"name":"printer","kind":"printer","driver":"escpos","mode":"owned","required":true,"model":"TM-T88VI"},
{"name":"acceptor","kind":"bill_acceptor","driver":"ccnet","mode":"proxy","required":true,"model":"SM-2073"},
{"name":"ups","kind":"ups","driver":"megatec","mode":"owned","required":false,"model":"CASTLE 1K"}],
"actions":["self_test","probe"]}"#;

fn day(changes: &mut Vec<Change>, now: Timestamp, id: &KioskId, like: &Like) {
    let last = if like.seen_ms > MINUTE { like.seen_ms } else { 0 };
    let fault_at = if like.fault.is_some() { 72 * MINUTE } else { last };
    let spans = [
        (20 * HOUR, 13 * HOUR, EvidenceState::Full, None),
        (13 * HOUR, 12 * HOUR + 20 * MINUTE, EvidenceState::Off, Some("power")),
        (12 * HOUR + 20 * MINUTE, 9 * HOUR, EvidenceState::Full, None),
        (9 * HOUR, 8 * HOUR + 10 * MINUTE, EvidenceState::Degraded, Some("supplies")),
        (8 * HOUR + 10 * MINUTE, fault_at.max(last), EvidenceState::Full, None),
        (
            fault_at,
            last,
            if like.service == ServiceState::OutOfService {
                EvidenceState::Oos
            } else {
                EvidenceState::Degraded
            },
            Some("hardware"),
        ),
    ];
    for (from, to, state, cause) in spans.into_iter().filter(|(from, to, ..)| from > to) {
        changes.push(Change::Evidence(EvidenceRow {
            kiosk: id.clone(),
            source: EvidenceSource::Journal,
            from: now.plus_ms(-from),
            to: now.plus_ms(-to),
            state,
            cause: cause.map(Into::into),
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: None,
        }));
    }
    let moved = [
        ("service", "in_service", "degraded", 9 * HOUR, "printer: paper_out"),
        ("boot", "", "up", 8 * HOUR + 20 * MINUTE, "agent_restart"),
        ("service", "degraded", "in_service", 8 * HOUR + 10 * MINUTE, ""),
        ("presence", "online", "late", 5 * HOUR, "heartbeat_late"),
        ("presence", "late", "online", 5 * HOUR - 20_000, "heartbeat"),
        ("service", "in_service", "out_of_service", 72 * MINUTE, "acceptor: note_jam(stacker)"),
    ];
    for (kind, from, to, ago, reason) in moved {
        changes.push(Change::Transition(TransitionRow {
            kiosk: id.clone(),
            kind: kind.into(),
            peripheral: None,
            from: from.into(),
            to: to.into(),
            at: now.plus_ms(-ago),
            noticed_at: now.plus_ms(-ago),
            reason: reason.into(),
        }));
    }
}

fn ticket(
    n: u64,
    place: (usize, usize),
    fault: &str,
    state: TicketState,
    now: Timestamp,
    ago: i64,
) -> TicketRow {
    let code = FaultCode::new(fault).expect("a code of this file");
    let catalogue = Catalogue::built_in();
    let entry = catalogue.get(&code).expect("a code of the catalogue");
    TicketRow {
        state,
        kiosk: Some(kiosk_id(place.0, place.1)),
        site: Some(site(SITES[place.0].0)),
        peripheral: (!fault.ends_with("offline")).then(|| PeripheralName::new("acceptor").expect("a name")),
        class: entry.class,
        severity: if n == 1 { Severity::Major } else { Severity::Minor },
        priority: u8::try_from(n.min(4)).unwrap_or(4),
        source: TicketSource::Agent,
        zone: SITES[place.0].4,
        t0: Some(now.plus_ms(-ago - 2_000)),
        ..TicketRow::new(Uuid::from_u128(0x1000 + u128::from(n)), 2_600 + n, code, now.plus_ms(-ago))
    }
}

fn resolved(row: TicketRow, now: Timestamp) -> TicketRow {
    TicketRow { t5: Some(now.plus_ms(-HOUR)), resolution: Some(SELF_RECOVERED.into()), ..row }
}

fn tickets(changes: &mut Vec<Change>, now: Timestamp) {
    let all = [
        ticket(1, (0, 1), "note_jam(stacker)", TicketState::Triaged, now, 72 * MINUTE),
        ticket(2, (3, 1), "site_offline", TicketState::Triaged, now, 44 * MINUTE),
        ticket(3, (0, 4), "paper_out", TicketState::WaitingCustomer, now, 5 * HOUR),
        ticket(4, (1, 3), "on_battery", TicketState::New, now, 6 * MINUTE),
        resolved(ticket(5, (0, 6), "paper_low", TicketState::Resolved, now, 3 * HOUR), now),
    ];
    for row in all {
        let (id, opened) = (row.id, row.opened_at);
        let incident = Uuid::from_u128(id.as_u128() + 0x1000);
        changes.push(Change::Ticket(Box::new(row.clone())));
        changes.push(Change::Incident(Box::new(IncidentRow {
            id: incident,
            fingerprint: format!("{incident}"),
            kiosk: row.kiosk.clone(),
            site: row.site.clone(),
            peripheral: row.peripheral.clone(),
            fault: row.fault.clone(),
            severity: row.severity,
            opened_at: opened,
            noticed_at: opened,
            closed_at: None,
            close_reason: None,
            raw: Some("02 03 06 47 50 f1".into()),
            text: Some(if row.kiosk.is_some() && row.fault.as_str() == "site_offline" {
                Because::DroppedTogether(3).into()
            } else {
                "JAM IN STACKER <script>alert(1)</script>".to_owned()
            }),
            ticket: Some(id),
            triage: Decision::OpenTicket.word().into(),
            triage_reason: Decision::OpenTicket.sentence(),
            triage_due_at: None,
            parent: None,
        })));
        let terms = Because::Terms { class: row.class, severity: row.severity, zone: row.zone }.to_string();
        let needed = Because::Needed.to_string();
        for (n, action, from, to, reason, after) in [
            (1, "open", None, TicketState::New, needed.as_str(), 0),
            (2, "triage", Some(TicketState::New), TicketState::Triaged, terms.as_str(), 1_000),
            (
                3,
                "note",
                Some(TicketState::Triaged),
                TicketState::Triaged,
                "车站值班员说下午有人塞过硬币",
                30 * MINUTE,
            ),
        ] {
            changes.push(Change::TicketEvent(TicketEventRow {
                ticket: id,
                n,
                at: opened.plus_ms(after),
                actor: if action == "note" { "王敏".into() } else { BY_RULE.into() },
                action: action.into(),
                from,
                to,
                reason: reason.into(),
            }));
        }
        clocks(changes, now, &row);
    }
}

fn clocks(changes: &mut Vec<Change>, now: Timestamp, row: &TicketRow) {
    let opened = row.opened_at;
    let running = [
        ("solution", 40 * MINUTE, 30 * MINUTE),
        ("arrive", 4 * HOUR, 2 * HOUR),
        ("restore", 14 * HOUR, 10 * HOUR),
        ("total", 72 * HOUR, 60 * HOUR),
    ];
    for (name, budget, warn) in running {
        let due = opened.plus_ms(budget);
        let late = due < now;
        changes.push(Change::Clock(ClockRow {
            ticket: row.id,
            name: name.into(),
            state: match (late, name) {
                (true, "solution") => ClockState::Met,
                (true, _) => ClockState::Breached,
                (false, "total") => ClockState::Paused,
                _ => ClockState::Running,
            },
            started_at: opened,
            budget_s: u64::try_from(budget / 1_000).unwrap_or(0),
            warn_at: Some(opened.plus_ms(warn)),
            due_at: Some(due),
            remaining_s: (name == "total").then_some(250_000),
            stopped_at: (late && name == "solution").then(|| opened.plus_ms(17 * MINUTE)),
            breached_at: None,
        }));
    }
}

fn commands(changes: &mut Vec<Change>, now: Timestamp) {
    let id = CommandId(Uuid::from_u128(0x3001));
    changes.push(Change::Command(Box::new(CommandRow {
        id,
        kiosk: kiosk_id(0, 1),
        action: "self_test".into(),
        args: r#"{"peripheral":"acceptor"}"#.into(),
        actor: "王敏".into(),
        approver: None,
        ticket: None,
        state: CommandState::Started,
        counter: 1,
        requested_at: now.plus_ms(-20_000),
        issued_at: Some(now.plus_ms(-20_000)),
        not_after: now.plus_ms(4 * MINUTE),
        sent_at: Some(now.plus_ms(-20_000)),
        attempts: 1,
        finished_at: None,
        reason: None,
        result: Some(r#"{"firmware":"1.2.9","stacker":"jammed"}"#.into()),
    })));
    for (ago, step, percent, line) in [
        (19_000, "accepted", 0, None),
        (12_000, "reset stacker motor", 40, Some("motor current 0.9 A")),
        (5_000, "read sensors", 65, Some("stacker position: 3 of 4")),
    ] {
        changes.push(Change::CommandEvent(CommandEventRow {
            command: id,
            at: now.plus_ms(-ago),
            state: CommandState::Started,
            step: step.into(),
            percent: Some(percent),
            line: line.map(Into::into),
        }));
    }
}
