//! From stored rows to what the sweep takes: milliseconds are floored to whole seconds here, and nowhere
//! else.

use kioskwatch_proto::Timestamp;

use super::causes::Cause;
use super::evidence::{Evidence, Source, State};
use super::exclusion::{Exclusion, ExclusionClass};
use crate::change::{EvidenceGapRow, EvidenceRow, EvidenceSource, EvidenceState, ExclusionRow, LivenessRow};
use crate::interval::{BEGINNING, END, Interval, IntervalSet};

/// The whole seconds of a stored span; `None` as an end means without end.
#[must_use]
pub fn span(from: Timestamp, to: Option<Timestamp>) -> Interval {
    Interval::new(from.secs(), to.map_or(END, Timestamp::secs))
}

/// When no server could receive: the part of `within` that no liveness row covers. Before the first row
/// there was no server, so that silence was not the kiosk's either.
#[must_use]
pub fn server_down(liveness: &[LivenessRow], within: Interval) -> IntervalSet {
    let up = liveness.iter().map(|row| span(row.from, Some(row.to))).collect();
    IntervalSet::of(within.intersect(Interval::new(BEGINNING, END))).subtract(&up)
}

/// When what was heard of one kiosk could not be stored: as if no server had heard it.
#[must_use]
pub fn unstored(gaps: &[EvidenceGapRow]) -> IntervalSet {
    gaps.iter().map(|row| span(row.from, Some(row.to))).collect()
}

/// Our outages as the silence of one kiosk is judged by them: of one that was heard up to then each ends later by an
/// interval of its heartbeats. After we are back its next one is due within that, and not having heard it before says
/// nothing about it. Who was silent before is silent by itself, however often we start anew.
///
/// The interval is the one of then: what the last heartbeats announced that began before we were back. Of an outage with
/// which the period begins nobody here knows who was heard before it: whoever is heard within an interval after it was.
/// `live` holds heartbeats alone, by their beginning; `unnoted_s` is the interval of those that were stored without one.
#[must_use]
pub fn unheard(outages: &IntervalSet, live: &[Evidence], period: Interval, unnoted_s: i64) -> IntervalSet {
    let heard: Vec<&Evidence> =
        live.iter().filter(|one| one.from < period.to && one.to > period.from).collect();
    let interval_of = |one: &Evidence| one.interval_s.unwrap_or(unnoted_s);
    // Nobody could hear it since it was due: of two outages one after the other the second waits as the first does.
    let mut waited_to = BEGINNING;
    let longer = |outage: &Interval| {
        let after = heard.partition_point(|one| one.from < outage.to);
        let (told, heard_to) = match (heard[..after].last(), heard.first()) {
            (Some(last), _) => (*last, last.to),
            (None, Some(next)) if next.from <= outage.to.saturating_add(interval_of(next)) => {
                (*next, period.from)
            }
            _ => return *outage,
        };
        let due_s = interval_of(told);
        let was_heard = heard_to.saturating_add(SILENT_AFTER.saturating_mul(due_s)) >= outage.from;
        if !was_heard && waited_to < outage.from {
            return *outage;
        }
        waited_to = outage.to.saturating_add(due_s);
        Interval::new(outage.from, waited_to)
    };
    outages.intervals().iter().map(longer).collect()
}

/// A heartbeat holds for one interval, and after as many more nobody takes it for a pause ("uptime definition 2.6").
const SILENT_AFTER: i64 = super::live::HOLD_INTERVALS - 1;

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
            interval_s: row.interval_s.map(i64::from),
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
            withdrawn_at: row.withdrawn.as_ref().map(|one| one.at.secs()),
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
    fn after_an_outage_of_ours_the_next_heartbeat_is_waited_for_as_long_as_was_announced_then() {
        let beats = |from, to, interval_s| Evidence {
            src: Source::Live,
            from,
            to,
            state: State::Full,
            cause: None,
            recv: None,
            interval_s,
        };
        let outage = |from, to| IntervalSet::of(Interval::new(from, to));
        let live = [
            beats(0, 90, Some(9)),
            beats(100, 200, Some(30)),
            beats(300, 400, Some(5)),
            beats(500, 600, None),
        ];
        let until = |from, to, period| unheard(&outage(from, to), &live, period, 7).intervals()[0].to;
        let all = Interval::new(0, 1_000);
        assert_eq!(until(210, 290, all), 290 + 30);
        // A shorter promise made since does not reach back, nor a longer one.
        assert_eq!((until(410, 490, all), until(92, 95, all)), (490 + 5, 95 + 9));
        assert_eq!(until(610, 690, all), 690 + 7, "nobody noted what was announced");
        // Only what was heard in the period: whoever looks at more of the past says the same.
        assert_eq!(until(210, 296, Interval::new(205, 1_000)), 296 + 5, "by the first ones after");
        assert_eq!(until(610, 690, Interval::new(605, 1_000)), 690, "nothing was heard of it");
    }

    #[test]
    fn who_was_silent_before_an_outage_of_ours_is_forgiven_nothing_by_it() {
        const DAY: i64 = 86_400;
        let beats = |from, to| Evidence {
            src: Source::Live,
            from,
            to,
            state: State::Full,
            cause: None,
            recv: None,
            interval_s: Some(3_600),
        };
        // Heard on the first day and on the last; in between it is dead, and we start anew each night.
        let live = [beats(0, DAY), beats(29 * DAY, 30 * DAY)];
        let nights: IntervalSet = (1..30).map(|day| Interval::new(day * DAY + 10, day * DAY + 70)).collect();
        let period = Interval::new(0, 30 * DAY);
        let forgiven = |nights: &IntervalSet| unheard(nights, &live, period, 60).length() - nights.length();
        // The first night within three intervals of its last heartbeat, and the last one, in which it is heard.
        assert_eq!(forgiven(&nights), 2 * 3_600);
        // Nor where we start anew every two hours, and listen in between.
        let often = (1..12).map(|n| Interval::new(DAY + n * 7_200, DAY + n * 7_200 + 60)).collect();
        assert_eq!(forgiven(&often), 3_600);
        // Of a month that begins while it is dead the same.
        let rest = Interval::new(2 * DAY, 30 * DAY);
        assert_eq!(unheard(&nights.clip(rest), &live, rest, 60).length(), nights.clip(rest).length() + 3_600);
        // The month begins in an outage: who is heard right after it was not silent.
        let begins = |outage, first| {
            let period = Interval::new(DAY, 2 * DAY);
            unheard(&IntervalSet::of(outage), &[beats(first, 2 * DAY)], period, 60).length() - outage.length()
        };
        let outage = Interval::new(DAY - 60, DAY + 60);
        assert_eq!((begins(outage, DAY + 1_000), begins(outage, DAY + 60 + 3_601)), (3_600, 0));
        // Two starts in a row: at the second its heartbeat was not due yet.
        let twice: IntervalSet =
            [Interval::new(DAY + 7_000, DAY + 7_100), Interval::new(DAY + 10_000, DAY + 10_100)]
                .into_iter()
                .collect();
        assert_eq!(
            unheard(&twice, &live, period, 60).intervals(),
            [Interval::new(DAY + 7_000, DAY + 13_700)]
        );
    }

    #[test]
    fn planned_work_must_be_approved_in_time_and_other_classes_may_be_known_later() {
        let exclusion = |class, approved_at| Exclusion {
            window: Interval::new(1_000, 2_000),
            class,
            approved_at,
            agreed_at: None,
            withdrawn_at: None,
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

    #[test]
    fn a_withdrawn_exclusion_stood_from_its_approval_until_it_was_known_not_to_hold() {
        let flood = Exclusion {
            window: Interval::new(1_000, 2_000),
            class: ExclusionClass::ForceMajeure,
            approved_at: Some(3_000),
            agreed_at: None,
            withdrawn_at: None,
        };
        let withdrawn = Exclusion { withdrawn_at: Some(5_000), ..flood };
        for (known_before, stood, still_stands) in [
            (Some(3_000), false, false),
            (Some(3_001), true, true),
            (Some(5_000), true, true),
            (Some(5_001), false, true),
            (None, false, true),
        ] {
            assert_eq!(withdrawn.stood(known_before), stood, "{known_before:?}");
            assert_eq!(flood.stood(known_before), still_stands, "{known_before:?}");
        }
    }
}
