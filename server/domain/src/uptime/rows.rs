//! From stored rows to what the sweep takes: milliseconds are floored to whole seconds here, and nowhere
//! else.

use kioskwatch_proto::Timestamp;

use super::causes::Cause;
use super::evidence::{Evidence, Source, State};
use super::exclusion::{Exclusion, ExclusionClass};
use crate::change::{EvidenceRow, EvidenceSource, EvidenceState, ExclusionRow, KioskRow, LivenessRow};
use crate::interval::{BEGINNING, END, Interval, IntervalSet};

/// The whole seconds of a stored span; `None` as an end means without end.
#[must_use]
pub fn span(from: Timestamp, to: Option<Timestamp>) -> Interval {
    Interval::new(from.secs(), to.map_or(END, Timestamp::secs))
}

/// When a kiosk counted at all. One that was never commissioned never did.
#[must_use]
pub fn commissioned(kiosk: &KioskRow) -> IntervalSet {
    kiosk
        .commissioned_at
        .map_or_else(IntervalSet::empty, |from| IntervalSet::of(span(from, kiosk.decommissioned_at)))
}

/// When no server could receive: the part of `within` that no liveness row covers. Before the first row
/// there was no server, so that silence was not the kiosk's either.
#[must_use]
pub fn server_down(liveness: &[LivenessRow], within: Interval) -> IntervalSet {
    let up = liveness.iter().map(|row| span(row.from, Some(row.to))).collect();
    IntervalSet::of(within.intersect(Interval::new(BEGINNING, END))).subtract(&up)
}

impl From<EvidenceSource> for Source {
    fn from(source: EvidenceSource) -> Self {
        match source {
            EvidenceSource::Journal => Self::Journal,
            EvidenceSource::Live => Self::Live,
        }
    }
}

impl From<EvidenceState> for State {
    fn from(state: EvidenceState) -> Self {
        match state {
            EvidenceState::Off => Self::Off,
            EvidenceState::Oos => Self::OutOfService,
            EvidenceState::OnOnly => Self::OnOnly,
            EvidenceState::Degraded => Self::Degraded,
            EvidenceState::Full => Self::Full,
        }
    }
}

impl From<&EvidenceRow> for Evidence {
    /// A cause this version does not know explains nothing; the state still counts.
    fn from(row: &EvidenceRow) -> Self {
        Self {
            src: row.source.into(),
            from: row.from.secs(),
            to: row.to.secs(),
            state: row.state.into(),
            cause: row.cause.as_deref().and_then(Cause::named),
            recv: row.received_at.map(Timestamp::secs),
        }
    }
}

impl Exclusion {
    /// `None` when the class is none of ours, which forgives nothing.
    #[must_use]
    pub fn of_row(row: &ExclusionRow) -> Option<Self> {
        Some(Self {
            window: span(row.from, Some(row.to)),
            class: ExclusionClass::named(&row.class)?,
            approved_at: row.approved_at.map(Timestamp::secs),
            agreed_at: row.agreed_at.map(Timestamp::secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn liveness(from: i64, to: i64) -> LivenessRow {
        LivenessRow { server: Uuid::nil(), from: Timestamp(from), to: Timestamp(to) }
    }

    #[test]
    fn the_server_was_down_where_no_server_says_it_was_up() {
        let rows = [liveness(20_000, 40_900), liveness(1_000, 10_000), liveness(8_000, 12_000)];
        let down = server_down(&rows, Interval::new(0, 50));
        let expected = [Interval::new(0, 1), Interval::new(12, 20), Interval::new(40, 50)];
        assert_eq!(down.intervals(), expected);
    }

    #[test]
    fn planned_work_must_be_approved_in_time_and_other_classes_may_be_known_later() {
        let exclusion = |class, approved_at| Exclusion {
            window: Interval::new(1_000, 2_000),
            class,
            approved_at,
            agreed_at: None,
        };
        let granted = |class, approved_at| exclusion(class, approved_at).is_granted(100);
        let agreed = |agreed_at| Exclusion {
            agreed_at: Some(agreed_at),
            ..exclusion(ExclusionClass::Planned, Some(9_999))
        };
        assert!(agreed(900).is_granted(100) && !agreed(901).is_granted(100));
        assert!(granted(ExclusionClass::Planned, Some(900)) && !granted(ExclusionClass::Planned, Some(901)));
        assert!(granted(ExclusionClass::CustomerPower, Some(5_000)));
        assert!(!granted(ExclusionClass::CustomerPower, None));
    }
}
