//! Rows to store: with every field said, and with as little as a row can say.
use kioskwatch_domain::change::*;
use kioskwatch_proto::{
    BootId, CommandId, Epoch, KioskId, PeripheralName, SessionId, SiteId, Timestamp,
    faults::{FaultClass, FaultCode},
    journal::Digest,
    words::{ServiceState, Severity},
};
use uuid::Uuid;

/// 2026-11-21T08:00:00Z
pub(crate) const NOW: Timestamp = Timestamp(1_795_248_000_000);
pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) fn at(offset_ms: i64) -> Timestamp {
    NOW.plus_ms(offset_ms)
}

pub(crate) fn kiosk_id(text: &str) -> KioskId {
    KioskId::new(text).unwrap()
}

pub(crate) fn site_id(text: &str) -> SiteId {
    SiteId::new(text).unwrap()
}

pub(crate) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Text that a careless quote, encoding or length would break.
pub(crate) fn awkward() -> String {
    "it's \"quoted\", \\back\\slashed, 中文 🖨, $1 ? {json: [1]}\n\ttab %_; -- DROP".into()
}

pub(crate) fn site(id: &str) -> SiteRow {
    SiteRow {
        id: site_id(id),
        name: format!("{id} {}", awkward()),
        region: "north".into(),
        customer: "bank".into(),
        zone: Zone::Suburb,
        timezone: "Asia/Shanghai".into(),
        service_hours: r#"[{"from":"2026-01-01"}]"#.into(),
        contacts: r#"[{"name":"王"}]"#.into(),
        remote_consent: true,
        updated_at: at(1),
    }
}

pub(crate) fn kiosk(id: &str, site: Option<&str>) -> KioskRow {
    KioskRow {
        id: kiosk_id(id),
        site: site.map(site_id),
        admission: Admission::Accepted,
        model: "M-1".into(),
        serial_no: "S/N 1".into(),
        commissioned_at: Some(at(-DAY)),
        decommissioned_at: None,
        updated_at: at(2),
    }
}

pub(crate) fn full_state(kiosk: &str) -> KioskStateRow {
    KioskStateRow {
        kiosk: kiosk_id(kiosk),
        presence: PresenceVerdict::Late,
        presence_since: at(-3),
        presence_reason: awkward(),
        last_seen_at: Some(at(-2)),
        session: Some(SessionId(uuid(1))),
        boot: Some(BootId(uuid(2))),
        epoch: Some(Epoch(uuid(3))),
        interval_s: 30,
        service: Some(ServiceState::Degraded),
        service_since: Some(at(-1)),
        service_cause: Some("supplies".into()),
        peripherals: r#"{"printer":{"status":"online","faults":[]}}"#.into(),
        inventory: r#"{"os":"x"}"#.into(),
        clock_offset_ms: Some(-42),
        command_counter: i64::MAX as u64,
    }
}

pub(crate) fn least_state(kiosk: &str) -> KioskStateRow {
    KioskStateRow {
        kiosk: kiosk_id(kiosk),
        presence: PresenceVerdict::Unknown,
        presence_since: at(0),
        presence_reason: String::new(),
        last_seen_at: None,
        session: None,
        boot: None,
        epoch: None,
        interval_s: u32::MAX,
        service: None,
        service_since: None,
        service_cause: None,
        peripherals: String::new(),
        inventory: String::new(),
        clock_offset_ms: None,
        command_counter: 0,
    }
}

pub(crate) fn head(kiosk: &str, epoch: u128, upto: u64) -> JournalHeadRow {
    JournalHeadRow {
        kiosk: kiosk_id(kiosk),
        epoch: Epoch(uuid(epoch)),
        upto,
        digest: (upto > 0).then_some(Digest([0xab; 8])),
        first_seen_at: at(epoch as i64),
        cursor: r#"{"boot":null}"#.into(),
    }
}

pub(crate) fn record(kiosk: &str, epoch: u128, seq: u64) -> JournalRecordRow {
    let raw = format!(r#"{{"seq":{seq},"kind":"fault","text":"a\u0000b \"q\" 中"}}"#);
    JournalRecordRow {
        kiosk: kiosk_id(kiosk),
        epoch: Epoch(uuid(epoch)),
        seq,
        kind: "fault".into(),
        at: at(seq as i64),
        placed_at: at(seq as i64 + 1),
        received_at: at(seq as i64 + 2),
        outcome: RecordOutcome::Applied,
        reason: None,
        digest: Digest::of(raw.as_bytes()),
        raw: raw.into(),
    }
}

pub(crate) fn gap(kiosk: &str, from_seq: u64, through_seq: u64) -> JournalGapRow {
    JournalGapRow {
        kiosk: kiosk_id(kiosk),
        epoch: Epoch(uuid(3)),
        from_seq,
        through_seq,
        at: at(9),
        reason: "lost".into(),
    }
}

pub(crate) fn evidence(kiosk: &str, from: i64, to: i64) -> EvidenceRow {
    EvidenceRow {
        kiosk: kiosk_id(kiosk),
        source: EvidenceSource::Journal,
        from: at(from),
        to: at(to),
        state: EvidenceState::OnOnly,
        cause: Some("power".into()),
        received_at: None,
        epoch: Some(Epoch(uuid(3))),
        seq: Some(7),
        interval_s: Some(30),
    }
}

pub(crate) fn transition(kiosk: &str, offset_ms: i64, to: &str) -> TransitionRow {
    TransitionRow {
        kiosk: kiosk_id(kiosk),
        kind: "peripheral".into(),
        peripheral: Some(PeripheralName::new("printer").unwrap()),
        from: "online".into(),
        to: to.into(),
        at: at(offset_ms),
        noticed_at: at(offset_ms + 5),
        reason: awkward(),
    }
}

pub(crate) fn incident(id: u128, kiosk: &str, fingerprint: &str) -> IncidentRow {
    IncidentRow {
        id: uuid(id),
        fingerprint: fingerprint.into(),
        kiosk: Some(kiosk_id(kiosk)),
        site: Some(site_id("s1")),
        peripheral: Some(PeripheralName::new("printer").unwrap()),
        fault: FaultCode::new("note_jam(stacker)").unwrap(),
        severity: Severity::Major,
        opened_at: at(id as i64),
        noticed_at: at(id as i64 + 1),
        closed_at: None,
        close_reason: None,
        raw: Some("7e".into()),
        text: Some(awkward()),
        ticket: Some(uuid(1000)),
        triage: "held until".into(),
        triage_reason: "site hold".into(),
        triage_due_at: Some(at(60_000)),
        parent: Some(uuid(2000)),
    }
}

pub(crate) fn least_incident(id: u128, fingerprint: &str) -> IncidentRow {
    IncidentRow {
        kiosk: None,
        site: None,
        peripheral: None,
        raw: None,
        text: None,
        ticket: None,
        triage_due_at: None,
        parent: None,
        severity: Severity::Info,
        ..incident(id, "k1", fingerprint)
    }
}

pub(crate) fn closed(row: &IncidentRow) -> IncidentRow {
    IncidentRow { closed_at: Some(at(DAY)), close_reason: Some("cleared".into()), ..row.clone() }
}

pub(crate) fn full_ticket(id: u128, number: u64) -> TicketRow {
    TicketRow {
        id: uuid(id),
        number,
        state: TicketState::WaitingParts,
        kiosk: Some(kiosk_id("k1")),
        site: Some(site_id("s1")),
        peripheral: Some(PeripheralName::new("printer").unwrap()),
        fault: FaultCode::new("paper_out").unwrap(),
        class: FaultClass::Replacement,
        severity: Severity::Major,
        priority: 2,
        source: TicketSource::Inspection,
        zone: Zone::Remote,
        opened_at: at(10),
        t0: Some(at(11)),
        t1: at(12),
        t5: Some(at(13)),
        t6: Some(at(14)),
        t7: Some(at(15)),
        resolution: Some(awkward()),
        sign_off: Some("signed".into()),
        cancel_reason: Some("twice".into()),
        recovering_since: Some(at(16)),
        due_at: Some(at(17)),
        parent: Some(uuid(77)),
        assignee: Some("李".into()),
        reopened: 3,
        extra: r#"{"plan":null}"#.into(),
    }
}

pub(crate) fn least_ticket(id: u128, number: u64) -> TicketRow {
    let full = full_ticket(id, number);
    TicketRow {
        t1: full.t1,
        class: full.class,
        severity: full.severity,
        priority: full.priority,
        source: full.source,
        zone: full.zone,
        ..TicketRow::new(full.id, number, full.fault, full.opened_at)
    }
}

pub(crate) fn ticket_event(ticket: u128, n: u32) -> TicketEventRow {
    TicketEventRow {
        ticket: uuid(ticket),
        n,
        at: at(i64::from(n)),
        actor: "system".into(),
        action: "triage".into(),
        from: (n > 1).then_some(TicketState::New),
        to: TicketState::Triaged,
        reason: awkward(),
    }
}

pub(crate) fn full_clock(ticket: u128, name: &str) -> ClockRow {
    ClockRow {
        ticket: uuid(ticket),
        name: name.into(),
        state: ClockState::Paused,
        started_at: at(1),
        budget_s: 14_400,
        warn_at: Some(at(2)),
        due_at: Some(at(3)),
        remaining_s: Some(99),
        stopped_at: Some(at(4)),
        breached_at: Some(at(5)),
    }
}

pub(crate) fn least_clock(ticket: u128, name: &str) -> ClockRow {
    ClockRow {
        warn_at: None,
        due_at: None,
        remaining_s: None,
        stopped_at: None,
        breached_at: None,
        ..full_clock(ticket, name)
    }
}

pub(crate) fn full_command(id: u128, kiosk: &str) -> CommandRow {
    CommandRow {
        id: CommandId(uuid(id)),
        kiosk: kiosk_id(kiosk),
        action: "self_test".into(),
        args: r#"{"peripheral":"printer"}"#.into(),
        actor: "li".into(),
        approver: Some("wang".into()),
        ticket: Some(uuid(1000)),
        state: CommandState::Deferred,
        counter: 1_795_248_000_000,
        requested_at: at(id as i64),
        issued_at: Some(at(2)),
        not_after: at(3),
        sent_at: Some(at(4)),
        attempts: 2,
        finished_at: Some(at(5)),
        reason: Some(awkward()),
        result: Some(r#"{"ok":true}"#.into()),
    }
}

pub(crate) fn least_command(id: u128, kiosk: &str) -> CommandRow {
    CommandRow {
        approver: None,
        ticket: None,
        state: CommandState::AwaitingApproval,
        issued_at: None,
        sent_at: None,
        attempts: 0,
        finished_at: None,
        reason: None,
        result: None,
        ..full_command(id, kiosk)
    }
}

pub(crate) fn command_event(command: u128, step: &str) -> CommandEventRow {
    CommandEventRow {
        command: CommandId(uuid(command)),
        at: at(1),
        state: CommandState::Started,
        step: step.into(),
        percent: Some(50),
        line: Some(awkward()),
    }
}

pub(crate) fn exclusion(id: u128, kiosk: Option<&str>, site: Option<&str>) -> ExclusionRow {
    ExclusionRow {
        id: uuid(id),
        kiosk: kiosk.map(kiosk_id),
        site: site.map(site_id),
        class: "planned".into(),
        from: at(-HOUR),
        to: at(HOUR),
        requested_by: "wang".into(),
        approved_by: Some("zhao".into()),
        approved_at: Some(at(-DAY)),
        agreed_at: Some(at(-2 * DAY)),
        withdrawn: None,
        reason: awkward(),
    }
}

pub(crate) fn audit(n: i64) -> AuditRow {
    AuditRow {
        at: at(n),
        actor: "li".into(),
        action: "ticket.close".into(),
        object: format!("ticket/{n}"),
        detail: format!(r#"{{"text":"{}"}}"#, "中\\n"),
    }
}
