//! What records and heartbeats prove about a kiosk (D4, uptime definition 2.6).
//!
//! Each journal has a cursor: the last record, where it stands in server time, and the state it left. The
//! next record of the same boot proves the machine ON between them, in that state; a record of another boot
//! proves OFF from the last tick of the old one, unless it says that its disk had no room for ticks. Spans are coalesced: a row grows while nothing changes.
use kioskwatch_proto::{
    BootId, KioskId, Timestamp,
    faults::codes,
    journal::Record,
    words::{ServiceState, ShutdownReason},
};
use serde::{Deserialize, Serialize};

use crate::{
    change::{EvidenceRow, EvidenceSource, EvidenceState},
    moment::Moment,
    uptime::Cause,
};

/// Evidence that arrives within this time of what it proves counts as prompt.
pub const PROMPT_MS: i64 = 10 * 60 * 1_000;

impl Cause {
    /// What a fault explains where it is what stops the kiosk. Power, network and host are the customer's ("uptime
    /// definition 2.10"): of a fault only that the mains failed is. What is wrong with the terminal itself is ours.
    #[must_use]
    pub fn of_fault(base: &str) -> Self {
        match base {
            codes::ON_BATTERY | codes::UPS_SHUTDOWN_ACTIVE => Self::Power,
            codes::APPLICATION_DOWN | codes::DISK_FULL | codes::CLOCK_WRONG | codes::JOURNAL_CORRUPT => {
                Self::Software
            }
            codes::PAPER_LOW
            | codes::PAPER_OUT
            | codes::STACKER_FULL
            | codes::HOPPER_EMPTY
            | codes::CARD_STOCK_LOW
            | codes::CARD_STOCK_EMPTY
            | codes::CARD_BIN_FULL => Self::Supplies,
            _ => Self::Hardware,
        }
    }

    /// A machine that is stopped in order is stopped by us, as is an agent: what the customer asked for is an exclusion.
    const fn of_shutdown(reason: ShutdownReason) -> Self {
        match reason {
            ShutdownReason::PowerLoss => Self::Power,
            ShutdownReason::Planned | ShutdownReason::Reboot | ShutdownReason::Update => Self::Software,
        }
    }
}

/// The state a service word proves; `required_down`: a required module is out of order, which makes the
/// kiosk out of service whatever its application says.
#[must_use]
pub const fn state_of(service: ServiceState, required_down: bool) -> EvidenceState {
    match service {
        _ if required_down => EvidenceState::Oos,
        ServiceState::InService => EvidenceState::Full,
        ServiceState::Degraded => EvidenceState::Degraded,
        ServiceState::OutOfService | ServiceState::Supervised => EvidenceState::Oos,
    }
}

/// What a kiosk's clock and ours have to do with each other within one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootClock {
    pub boot: BootId,
    /// Server time at `mono_ms` 0, as the quickest heartbeat of the boot shows it.
    pub(crate) mono_zero: Moment,
    /// Of its last heartbeat.
    pub interval_s: u32,
}

/// Where a record stands in server time, and whether its own time was too far in the future.
///
/// The boot's quickest heartbeat and the `mono_ms` difference say it best. Without one (we were started since)
/// the difference to the record before it, if that is of the same boot; else the device's own time is held
/// between the record before it and its arrival.
#[must_use]
pub fn place<'a>(
    record: &Record,
    received_at: Timestamp,
    clocks: impl IntoIterator<Item = &'a BootClock>,
    cursor: &Cursor,
) -> (Timestamp, bool) {
    let header = &record.header;
    let heard = clocks.into_iter().find(|clock| clock.boot == header.boot).map(|clock| clock.mono_zero);
    let by_mono = heard
        .or_else(|| cursor.last.filter(|last| last.boot == header.boot).and_then(|last| last.mono_zero))
        .map(|zero| zero.at().ms())
        .map(|zero| Timestamp(zero.saturating_add(i64::try_from(header.mono_ms).unwrap_or(i64::MAX))));
    let ahead = by_mono.is_none() && header.at.since(received_at) > kioskwatch_proto::limits::MAX_FUTURE_MS;
    let wanted = by_mono.unwrap_or(if ahead { received_at } else { header.at });
    let not_before = match &cursor.last {
        Some(last) if header.was.is_none() => last.placed.min(received_at),
        _ => Timestamp(i64::MIN),
    };
    (wanted.clamp(not_before, received_at), ahead)
}

/// A record as the next one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub boot: BootId,
    #[serde(with = "ms")]
    pub placed: Timestamp,
    /// By the device's clock.
    at: Moment,
    /// Server time at `mono_ms` 0 of its boot, as it was placed.
    #[serde(default)]
    mono_zero: Option<Moment>,
}

/// A row that may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSpan {
    #[serde(with = "ms")]
    from: Timestamp,
    #[serde(with = "ms")]
    to: Timestamp,
    #[serde(with = "word_state")]
    state: EvidenceState,
    #[serde(with = "word_cause")]
    cause: Option<Cause>,
    received_at: Option<Moment>,
}

/// What the next record's evidence is placed against; stored beside the journal's head.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub last: Option<Point>,
    /// The state the last record left; `None`: on, but nobody said how.
    #[serde(with = "word_state_option")]
    state: Option<EvidenceState>,
    #[serde(with = "word_cause")]
    cause: Option<Cause>,
    shutdown: Option<ShutdownReason>,
    open: Option<OpenSpan>,
    /// What came after the last record is missing: nothing is proved from it on. It still says where its boot's clock stood,
    /// and that the next one came later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    broken: bool,
    /// Records are lost, and no snapshot has come since: what is remembered of the modules may be long over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    outdated: bool,
}

/// A stretch of time and what it was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    pub from: Timestamp,
    pub to: Timestamp,
    pub state: EvidenceState,
    pub cause: Option<Cause>,
}

impl Cursor {
    /// What a record proves about the time before it. Moves the cursor.
    /// `lived_until` is what a `boot` or `alive` record says about the time before.
    pub fn advance(
        &mut self,
        record: &Record,
        placed: Timestamp,
        lived_until: Option<Timestamp>,
    ) -> Vec<Proof> {
        let boot = record.header.boot;
        let mono_ms = i64::try_from(record.header.mono_ms).unwrap_or(i64::MAX);
        let mono_zero = Some(Timestamp(placed.ms().saturating_sub(mono_ms)).into());
        let now = Point { boot, placed, at: record.header.at.into(), mono_zero };
        let starts = matches!(record.body, kioskwatch_proto::journal::Body::Boot(_));
        let mut proofs = Vec::new();
        // Another boot that came after what is missing, placed before it: nobody knows when it ran. Who took it for the time
        // after the last record would count on what may have been off. What it says of its state holds nevertheless.
        if self.broken && self.last.is_some_and(|last| last.boot != boot && placed <= last.placed) {
            if starts {
                (self.state, self.cause, self.shutdown) = (None, None, None);
            }
            return proofs;
        }
        let before = self.last.filter(|_| !self.broken);
        if let Some(last) = before {
            if placed < last.placed {
                return proofs;
            }
            let held = self.state.unwrap_or(EvidenceState::OnOnly);
            // Without a word about the end of its life, the old run is known to its last record only.
            let end = lived_until
                .map_or(last.placed, |until| last.placed.plus_ms(until.since(last.at.at())))
                .clamp(last.placed, placed);
            if is_unrecorded(record) && last.boot != boot {
                // What was heard meanwhile counts; where nothing was, nobody knows.
                push(&mut proofs, Proof { from: last.placed, to: end, state: held, cause: self.cause });
            } else if last.boot != boot {
                let cause = self.shutdown.map(Cause::of_shutdown).or(self.power_cause());
                push(&mut proofs, Proof { from: last.placed, to: end, state: held, cause: self.cause });
                push(&mut proofs, Proof { from: end, to: placed, state: EvidenceState::Off, cause });
            } else if starts {
                push(&mut proofs, Proof { from: last.placed, to: end, state: held, cause: self.cause });
                // Stopped on purpose, for an update or by hand: that is our doing, and no riddle.
                let cause = is_stopped_in_order(record).then_some(Cause::Software);
                push(&mut proofs, Proof { from: end, to: placed, state: EvidenceState::OnOnly, cause });
            } else {
                push(&mut proofs, Proof { from: last.placed, to: placed, state: held, cause: self.cause });
            }
        }
        // Across what is missing nothing was remembered of the boot before.
        if starts || before.is_some_and(|last| last.boot != boot) {
            (self.state, self.cause, self.shutdown) = (None, None, None);
        }
        if let kioskwatch_proto::journal::Body::Shutdown(shutdown) = &record.body {
            self.shutdown = Some(shutdown.reason);
        }
        (self.last, self.broken) = (Some(now), false);
        proofs
    }

    fn power_cause(&self) -> Option<Cause> {
        self.cause.filter(|&cause| cause == Cause::Power)
    }

    /// The state from the last record on.
    pub fn set_state(&mut self, state: EvidenceState, cause: Option<Cause>) {
        self.state = Some(state);
        self.cause = match state {
            EvidenceState::Full | EvidenceState::OnOnly => None,
            _ => cause,
        };
    }

    /// Records were evicted: the machine's boots still tell ON from OFF across them, not in which state.
    pub fn blur(&mut self) {
        (self.state, self.cause) = (None, None);
    }

    /// Records are lost: the time across them proves nothing.
    pub fn interrupt(&mut self) {
        self.step_over();
        self.outdated = true;
    }

    /// One record was set aside and uses up its number: the time across it proves nothing. What is remembered of the modules
    /// goes on; without it a required one that is out of order would count as well until the next snapshot.
    pub fn step_over(&mut self) {
        *self = Self { last: self.last, broken: true, outdated: self.outdated, ..Self::default() };
    }

    /// Whether what is remembered of the modules says anything about the time after the last record.
    #[must_use]
    pub const fn knows_modules(&self) -> bool {
        !self.outdated
    }

    /// The whole state was told.
    pub const fn is_told_all(&mut self) {
        self.outdated = false;
    }

    /// Adds a proof to the open row or begins a new one; the row as it is now.
    pub fn paint(&mut self, kiosk: &KioskId, proof: Proof, received_at: Timestamp) -> EvidenceRow {
        let late = received_at.since(proof.from) > PROMPT_MS;
        let received = late.then(|| Moment::from(received_at));
        // What counts at an instant is told by the second of its arrival: a freeze, a decision and whoever asks say no
        // less. A journal that is sent after a silence has many records in one.
        let second = |received: Option<Moment>| received.map(|at| at.at().secs());
        let span = match self.open {
            Some(open)
                if open.to == proof.from
                    && (open.state, open.cause) == (proof.state, proof.cause)
                    && second(open.received_at) == second(received) =>
            {
                OpenSpan { to: proof.to, received_at: received, ..open }
            }
            _ => OpenSpan {
                from: proof.from,
                to: proof.to,
                state: proof.state,
                cause: proof.cause,
                received_at: received,
            },
        };
        self.open = Some(span);
        EvidenceRow {
            kiosk: kiosk.clone(),
            source: EvidenceSource::Journal,
            from: span.from,
            to: span.to,
            state: span.state,
            cause: span.cause.map(|cause| cause.as_str().to_owned()),
            received_at: span.received_at.map(Moment::at),
            epoch: None,
            seq: None,
            interval_s: None,
        }
    }
}

fn is_stopped_in_order(record: &Record) -> bool {
    matches!(&record.body, kioskwatch_proto::journal::Body::Boot(boot) if boot.clean)
}

fn is_unrecorded(record: &Record) -> bool {
    matches!(&record.body, kioskwatch_proto::journal::Body::Boot(boot) if boot.unrecorded)
}

fn push(proofs: &mut Vec<Proof>, proof: Proof) {
    if proof.from < proof.to {
        proofs.push(proof);
    }
}

mod ms {
    use kioskwatch_proto::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(super) fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(t.ms())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(d).map(Timestamp)
    }
}

macro_rules! stored_word {
    ($name:ty, $option:ident, $named:ident) => {
        mod $option {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            use super::*;

            pub(super) fn serialize<S: Serializer>(word: &Option<$name>, s: S) -> Result<S::Ok, S::Error> {
                word.map(<$name>::as_str).serialize(s)
            }
            pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$name>, D::Error> {
                let text = Option::<std::borrow::Cow<'de, str>>::deserialize(d)?;
                Ok(text.and_then(|text| <$name>::$named(&text)))
            }
        }
    };
}
stored_word!(EvidenceState, word_state_option, parse);
stored_word!(Cause, word_cause, named);

mod word_state {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::change::EvidenceState;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(super) fn serialize<S: Serializer>(state: &EvidenceState, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(state.as_str())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<EvidenceState, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        EvidenceState::parse(&text).ok_or_else(|| de::Error::custom("no evidence state"))
    }
}

#[cfg(test)]
mod tests;
