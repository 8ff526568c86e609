//! What a decision changes, as plain values: the only language between the domain and the store.
//!
//! The domain never writes; it returns [`Change`]s. The store puts all changes of one plan into one
//! transaction; only after its commit are acknowledgements sent and effects performed.
use std::sync::Arc;

use kioskwatch_proto::{
    BootId, Epoch, KioskId, PeripheralName, SessionId, SiteId, Timestamp,
    faults::FaultCode,
    journal::Digest,
    words::{ServiceState, Severity},
};
use uuid::Uuid;

use crate::presence::PresenceReason;

macro_rules! stored_words {
    ($name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word in the database, the API and the metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

mod command;
mod ticket;
mod uptime;

pub use command::{CommandEventRow, CommandRow, CommandState};
pub use ticket::{ClockRow, ClockState, TicketEventRow, TicketRow, TicketSource, TicketState};
pub use uptime::{
    CalendarTermsRow, CommissionedRow, Correction, CorrectionRow, CorrectionState, Decided, Held, InputKind,
    MonthRow, MonthSums, RestatementRow, RestatementState, ServiceSpan, SiteTermsRow,
};

/// One row to insert, replace or extend.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Insert or replace.
    Site(SiteRow),
    /// As [`Self::Commissioned`].
    SiteTerms(SiteTermsRow),
    /// As [`Self::Commissioned`].
    CalendarTerms(CalendarTermsRow),
    /// Insert or replace.
    Kiosk(KioskRow),
    /// Insert, or set `to` of the row with the same kiosk, group and `from`.
    Assignment(AssignmentRow),
    /// Insert; the same instant again replaces what became known in it. What was known always stays.
    Commissioned(CommissionedRow),
    /// Insert or replace the current state of a kiosk; an empty `inventory` keeps the stored one.
    KioskState(Box<KioskStateRow>),
    /// Insert or replace. A stretch of heartbeats that was there and is another one becomes evidence; without one in
    /// this row it stays. Many come in one batch.
    Seen(SeenRow),
    /// Update the verdict in the kiosk's state and nothing else.
    Presence(PresenceRow),
    /// Of every kiosk of which there is a verdict, from one id to another: nothing is known of it any more, and a
    /// transition says so.
    Forgotten(ForgottenRow),
    /// Insert or replace the head of one journal.
    JournalHead(JournalHeadRow),
    /// Insert; the same key with the same bytes changes nothing, with other bytes the commit fails.
    JournalRecord(JournalRecordRow),
    /// Insert.
    JournalGap(JournalGapRow),
    /// Insert, or extend `to` of the row with the same kiosk, source and `from`. Of heartbeats: a stretch that ended.
    Evidence(EvidenceRow),
    /// Insert.
    Transition(TransitionRow),
    /// Insert or replace.
    Incident(Box<IncidentRow>),
    /// Insert or replace.
    Ticket(Box<TicketRow>),
    /// Insert.
    TicketEvent(TicketEventRow),
    /// Insert or replace.
    Clock(ClockRow),
    /// Insert or replace.
    Command(Box<CommandRow>),
    /// Insert.
    CommandEvent(CommandEventRow),
    /// Insert or replace.
    Exclusion(ExclusionRow),
    /// Insert, or extend `to` of the row with the same server and `from`.
    Liveness(LivenessRow),
    /// Insert, or move `to` of the row with the same kiosk and `from`.
    EvidenceGap(EvidenceGapRow),
    /// Version 0: insert or replace. Another version: insert; stored with other content, the commit fails.
    Month(Box<MonthRow>),
    /// Insert or replace.
    Restatement(Box<RestatementRow>),
    /// Insert or replace.
    Correction(Box<CorrectionRow>),
    /// Append; the store chains the hashes.
    Audit(AuditRow),
}

/// A place with kiosks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRow {
    pub id: SiteId,
    pub name: String,
    pub region: String,
    pub customer: String,
    pub zone: Zone,
    /// IANA zone.
    pub timezone: String,
    /// JSON text of schedule versions, see `service_hours`.
    pub service_hours: String,
    /// JSON text for people: names, phones.
    pub contacts: String,
    /// Whether read-only commands may run by themselves.
    pub remote_consent: bool,
    pub updated_at: Timestamp,
}

impl SiteRow {
    /// Whether it belongs to the same region and customer.
    #[must_use]
    pub fn has_contract_of(&self, other: &Self) -> bool {
        (&self.region, &self.customer) == (&other.region, &other.customer)
    }

    /// Whether its time is counted by the same wall clock and hours.
    #[must_use]
    pub fn has_terms_of(&self, other: &Self) -> bool {
        (&self.timezone, &self.service_hours) == (&other.timezone, &other.service_hours)
    }
}

/// How far away a site is for the service organisation (SR-004, SR-005, SR-007).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    Urban,
    Suburb,
    Remote,
}

/// Whether a kiosk's journal is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Admission {
    Accepted,
    /// Nobody registered it yet: shown and counted, its journal waits.
    Quarantined,
    Refused,
}

/// One registered terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KioskRow {
    pub id: KioskId,
    /// `None`: not assigned to a site yet.
    pub site: Option<SiteId>,
    pub admission: Admission,
    pub model: String,
    pub serial_no: String,
    pub commissioned_at: Option<Timestamp>,
    pub decommissioned_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

/// A kiosk belonged to a group for a time (uptime definition 2.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignmentRow {
    pub kiosk: KioskId,
    pub group: GroupKind,
    /// Of what was said later: empty where it stood nowhere, or nobody answered for it. Of a model: empty where it had none.
    pub group_id: String,
    pub from: Timestamp,
    pub to: Option<Timestamp>,
    /// Since when two people said so of a time that had been, over whatever was noted then; `None`: noted as it
    /// happened. An approved [`Correction::Assignment`] is such a row, and nothing else makes one.
    pub said: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupKind {
    Site,
    Engineer,
    /// Noted only where it changed: of a kiosk that was ever one model alone it is the one that is registered.
    Model,
}

/// Our verdict on a kiosk's connection (D2 of the design: judged on heartbeats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PresenceVerdict {
    Unknown,
    Online,
    Late,
    Offline,
}

/// The state of a kiosk as of the last commit; what a restart begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct KioskStateRow {
    pub kiosk: KioskId,
    pub presence: PresenceVerdict,
    /// When it became true.
    pub presence_since: Timestamp,
    pub presence_reason: String,
    pub last_seen_at: Option<Timestamp>,
    pub session: Option<SessionId>,
    pub boot: Option<BootId>,
    /// The epoch whose records move the current state.
    pub epoch: Option<Epoch>,
    pub interval_s: u32,
    pub service: Option<ServiceState>,
    pub service_since: Option<Timestamp>,
    pub service_cause: Option<String>,
    /// JSON text: `{name: {"status":…, "faults":[…]}}`.
    pub peripherals: String,
    /// JSON text of a new inventory. Empty in a [`Change`]: what is stored stays (the fleet keeps no
    /// inventory text); empty in an image: there is none yet.
    pub inventory: String,
    /// Server minus device wall time in milliseconds, as the quickest heartbeat of this boot showed it.
    pub clock_offset_ms: Option<i64>,
    /// Highest counter ever put into a command for this kiosk.
    pub command_counter: u64,
}

/// When a kiosk was heard last, and what its heartbeats prove since when: flushed in batches, because heartbeats make
/// no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRow {
    pub kiosk: KioskId,
    pub last_seen_at: Timestamp,
    pub interval_s: u32,
    pub clock_offset_ms: Option<i64>,
    /// `None`: no heartbeat since the server's start.
    pub running: Option<RunningSpan>,
}

/// The stretch of heartbeats that runs: evidence that will still grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningSpan {
    pub from: Timestamp,
    pub to: Timestamp,
    pub state: EvidenceState,
    /// As [`EvidenceRow::cause`].
    pub cause: Option<String>,
    /// As [`EvidenceRow::interval_s`].
    pub interval_s: u32,
}

impl RunningSpan {
    /// As a row of evidence says it.
    #[must_use]
    pub fn evidence(self, kiosk: KioskId) -> EvidenceRow {
        EvidenceRow {
            kiosk,
            source: EvidenceSource::Live,
            from: self.from,
            to: self.to,
            state: self.state,
            cause: self.cause,
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: Some(self.interval_s),
        }
    }
}

/// A new verdict about a kiosk of which nothing else changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceRow {
    pub kiosk: KioskId,
    pub presence: PresenceVerdict,
    pub presence_since: Timestamp,
    pub presence_reason: PresenceReason,
}

/// Neighbours of whom nothing is known any more. The store finds out who they are and what was known of each: a row
/// for each of a large fleet is most of what its start would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenRow {
    pub first: KioskId,
    pub last: KioskId,
    pub since: Timestamp,
    pub noticed_at: Timestamp,
    pub reason: PresenceReason,
}

impl ForgottenRow {
    /// Since when nothing is known of a kiosk on which there is a verdict since then: that was true until it was made.
    #[must_use]
    pub fn since(since: Timestamp, verdict_since: Timestamp, noticed_at: Timestamp) -> Timestamp {
        since.max(verdict_since).min(noticed_at)
    }
}

/// How far one journal of a kiosk is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalHeadRow {
    pub kiosk: KioskId,
    pub epoch: Epoch,
    pub upto: u64,
    /// Of record `upto`.
    pub digest: Option<Digest>,
    pub first_seen_at: Timestamp,
    /// JSON text: what the next record's evidence is placed against.
    pub cursor: String,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordOutcome {
    Applied,
    /// Its number is used, its content was not understood; kept raw.
    Quarantined,
    /// Sent again after a change of epoch; already applied under its old number.
    Repeat,
}

/// A journal record as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecordRow {
    pub kiosk: KioskId,
    pub epoch: Epoch,
    pub seq: u64,
    pub kind: String,
    /// Device wall time.
    pub at: Timestamp,
    /// Where the record stands in server time.
    pub placed_at: Timestamp,
    pub received_at: Timestamp,
    pub outcome: RecordOutcome,
    /// Why it was quarantined.
    pub reason: Option<String>,
    pub digest: Digest,
    /// The exact JSON bytes.
    pub raw: Arc<str>,
}

/// Records that will never come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalGapRow {
    pub kiosk: KioskId,
    pub epoch: Epoch,
    pub from_seq: u64,
    pub through_seq: u64,
    pub at: Timestamp,
    /// `lost` (no longer held by the agent) or `dropped` (evicted by its size cap).
    pub reason: String,
}

/// Where evidence comes from (uptime definition 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvidenceSource {
    Journal,
    Live,
}

/// What the evidence says of the kiosk (uptime definition 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvidenceState {
    Off,
    Oos,
    OnOnly,
    Degraded,
    Full,
}

/// A span of time and the state it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRow {
    pub kiosk: KioskId,
    pub source: EvidenceSource,
    /// Server time, milliseconds; half-open.
    pub from: Timestamp,
    pub to: Timestamp,
    pub state: EvidenceState,
    /// One of power, network, host, hardware, supplies, software, unexplained.
    pub cause: Option<String>,
    /// `None`: every part of it arrived within ten minutes of its time. Otherwise when it arrived.
    pub received_at: Option<Timestamp>,
    /// The journal record that closed it, for "why".
    pub epoch: Option<Epoch>,
    pub seq: Option<u64>,
    /// Of heartbeats: in how many seconds after the last of them the next one was due. `None`: of a journal, or
    /// from before this was noted.
    pub interval_s: Option<u32>,
}

/// A change of presence, service state, or a peripheral's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionRow {
    pub kiosk: KioskId,
    /// `presence`, `service`, `peripheral`, `boot`, `journal`.
    pub kind: String,
    pub peripheral: Option<PeripheralName>,
    pub from: String,
    pub to: String,
    /// When it became true.
    pub at: Timestamp,
    pub noticed_at: Timestamp,
    pub reason: String,
}

/// A machine-seen problem episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRow {
    pub id: Uuid,
    /// `kiosk/peripheral/fault`, or `site/fault` for a site outage. At most one is open.
    pub fingerprint: String,
    pub kiosk: Option<KioskId>,
    pub site: Option<SiteId>,
    pub peripheral: Option<PeripheralName>,
    pub fault: FaultCode,
    pub severity: Severity,
    pub opened_at: Timestamp,
    pub noticed_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    pub close_reason: Option<String>,
    pub raw: Option<String>,
    pub text: Option<String>,
    pub ticket: Option<Uuid>,
    /// What triage decided, with its reason: "ticket opened", "suppressed: …", "held until …".
    pub triage: String,
    pub triage_reason: String,
    /// When triage must look again (hold, opening time).
    pub triage_due_at: Option<Timestamp>,
    /// The site incident that explains this one.
    pub parent: Option<Uuid>,
}

/// Approved time that does not count (uptime definition 2.4) and opens no ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExclusionRow {
    pub id: Uuid,
    /// Exactly one of kiosk and site.
    pub kiosk: Option<KioskId>,
    pub site: Option<SiteId>,
    /// planned, site_closed, customer_power, customer_network, force_majeure, customer_hold.
    pub class: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub requested_by: String,
    pub approved_by: Option<String>,
    /// When the approval was given; version 1 of a month counts what had it before the freeze.
    pub approved_at: Option<Timestamp>,
    /// When planned work had been agreed, where that was not its approval: it needs its notice from then.
    pub agreed_at: Option<Timestamp>,
    /// Known since then not to hold; what was signed while it held is explained with it.
    pub withdrawn: Option<Withdrawn>,
    pub reason: String,
}

/// Who agreed that an exclusion is taken back, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    pub by: String,
    pub at: Timestamp,
}

/// The server was able to receive for this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivenessRow {
    pub server: Uuid,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What was heard of a kiosk in this time could not be stored: that nothing is known of it says nothing about the
/// kiosk. Empty where it could be stored after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceGapRow {
    pub kiosk: KioskId,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub object: String,
    /// JSON text.
    pub detail: String,
}

stored_words!(Zone { Urban = "urban", Suburb = "suburb", Remote = "remote" });
stored_words!(Admission { Accepted = "accepted", Quarantined = "quarantined", Refused = "refused" });
stored_words!(GroupKind { Site = "site", Engineer = "engineer", Model = "model" });
stored_words!(PresenceVerdict { Unknown = "unknown", Online = "online", Late = "late", Offline = "offline" });
stored_words!(RecordOutcome { Applied = "applied", Quarantined = "quarantined", Repeat = "repeat" });
stored_words!(EvidenceSource { Journal = "journal", Live = "live" });
stored_words!(EvidenceState { Off = "OFF", Oos = "OOS", OnOnly = "ON_ONLY", Degraded = "DEGRADED", Full = "FULL" });
