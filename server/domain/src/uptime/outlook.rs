//! How the figures of a period that runs go on as long as nothing happens: a kiosk that works and goes on working needs
//! no counting.

use super::causes::Cause;
use super::evidence::{Evidence, Source, State};
use super::figures::Figures;
use super::sweep::{Inputs, Timeline};
use crate::interval::{Interval, IntervalSet};

/// A silence that got longer by this part of itself is another one.
const SILENCE_TOLD_ANEW: i64 = 16;

/// What can be said of the time behind [`Inputs::as_of`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// What each second adds; nothing while no time counts.
    pub each: Figures,
    /// The second at which something else may begin; the one of the report when nothing can be said.
    pub until: i64,
}

/// `timeline`: as built from `inputs`. Only what heartbeats prove goes on by itself: a journal speaks of what has been,
/// and of silence nobody knows whether it is one heartbeat that is late.
#[must_use]
pub fn outlook(inputs: &Inputs<'_>, timeline: &Timeline) -> Outlook {
    let now = inputs.elapsed_period().to;
    let nothing = |until| Outlook { each: Figures::default(), until };
    let open = inputs.to_come();
    let edge = next_edge(&open, now).unwrap_or(inputs.period.to);
    if !open.contains(now) {
        return nothing(edge);
    }
    let Some(last) = timeline.pieces().last().filter(|piece| piece.span.to == now) else {
        return nothing(now);
    };
    match last.basis.state {
        // Whether a silence of the service counts changes with our own hearing.
        Some((State::OnOnly, _)) => nothing(now),
        Some((state, Source::Journal)) if !is_heard(inputs, now, state, last.basis.cause) => nothing(now),
        Some(_) => {
            let second = IntervalSet::of(Interval::new(now - 1, now));
            Outlook { each: timeline.within(&second).figures(), until: edge }
        }
        None => nothing(edge.min(now + last.span.length() / SILENCE_TOLD_ANEW)),
    }
}

/// Whether heartbeats say so too, and nothing worse: a journal's word ends with its last record, and theirs goes on.
fn is_heard(inputs: &Inputs<'_>, now: i64, state: State, cause: Option<Cause>) -> bool {
    let says = |claim: &&Evidence| claim.src == Source::Live && claim.from < now && claim.proven_to() >= now;
    let worst = inputs.evidence.iter().filter(says).min_by_key(|claim| claim.state);
    worst.is_some_and(|claim| claim.state == state && claim.cause == cause)
}

/// Where a set begins or ends next, after a second.
#[must_use]
pub fn next_edge(set: &IntervalSet, after: i64) -> Option<i64> {
    set.iter().flat_map(|part| [part.from, part.to]).find(|edge| *edge > after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 43_200;

    fn heard(from: i64, to: i64, state: State) -> Evidence {
        let cause = (state != State::Full).then_some(Cause::Hardware);
        Evidence { src: Source::Live, from, to, state, cause, recv: None, interval_s: Some(30) }
    }

    /// A day of service from 8 to 20 o'clock, of which 18 to 19 is forgiven.
    fn at(now: i64, evidence: &[Evidence], check: impl FnOnce(&Inputs<'_>, &Timeline)) {
        let hours = |from: i64, to: i64| IntervalSet::of(Interval::new(from * 3_600, to * 3_600));
        let inputs = Inputs {
            period: Interval::new(0, 86_400),
            as_of: Some(now),
            service: &hours(8, 20),
            commissioned: &IntervalSet::always(),
            exclusions: &hours(18, 19),
            server_down: &IntervalSet::empty(),
            evidence,
            received_before: None,
        };
        check(&inputs, &Timeline::build(&inputs));
    }

    #[test]
    fn what_goes_on_comes_to_what_is_counted_later() {
        let begun = 9 * 3_600;
        for state in [State::Full, State::Degraded, State::OutOfService] {
            for now in [begun + 5, NOON, NOON + 7] {
                at(now, &[heard(begun, now, state)], |inputs, timeline| {
                    let outlook = outlook(inputs, timeline);
                    assert_eq!(outlook.until, 18 * 3_600, "{state:?}: forgiven from then on");
                    let mut grown = timeline.figures();
                    (now..outlook.until).for_each(|_| grown += &outlook.each);
                    at(outlook.until, &[heard(begun, outlook.until, state)], |_, counted| {
                        assert_eq!(grown, counted.figures(), "{state:?} from {now}");
                    });
                });
            }
        }
    }

    #[test]
    fn closed_hours_add_nothing_until_they_end() {
        for (hour, opens) in [(3_i64, 8), (18, 19), (21, 24)] {
            at(hour * 3_600 + 5, &[heard(0, hour * 3_600 + 5, State::Full)], |inputs, timeline| {
                let nothing = Outlook { each: Figures::default(), until: opens * 3_600 };
                assert_eq!(outlook(inputs, timeline), nothing);
            });
        }
    }

    #[test]
    fn what_a_journal_tells_up_to_this_second_goes_on_as_heartbeats_say_it() {
        for state in [State::Full, State::Degraded] {
            let live = [heard(9 * 3_600, NOON, state)];
            let both = [live[0], Evidence { src: Source::Journal, interval_s: None, ..live[0] }];
            at(NOON, &live, |inputs, timeline| {
                let alone = outlook(inputs, timeline);
                assert_eq!(alone.until, 18 * 3_600);
                at(NOON, &both, |inputs, timeline| assert_eq!(outlook(inputs, timeline), alone, "{state:?}"));
            });
        }
    }

    #[test]
    fn nothing_is_said_of_silence_and_of_what_is_not_heard_but_told() {
        let told = Evidence { src: Source::Journal, recv: Some(NOON), ..heard(0, NOON, State::Full) };
        let overruled = [told, heard(0, NOON, State::OutOfService)];
        let late = [heard(0, NOON - 40, State::Full)];
        let beside = |state| heard(NOON - 40, NOON, state);
        let worse = [told, beside(State::Full), beside(State::Degraded)];
        for (evidence, until) in [
            (&overruled[..], NOON),
            (&worse, NOON),
            (&[told, Evidence { to: NOON - 1, ..beside(State::Full) }], NOON),
            (&[heard(0, NOON, State::OnOnly)], NOON),
            (&late, NOON + 40 / SILENCE_TOLD_ANEW),
            (&[], NOON + 4 * 3_600 / SILENCE_TOLD_ANEW),
        ] {
            at(NOON, evidence, |inputs, timeline| {
                let nothing = Outlook { each: Figures::default(), until };
                assert_eq!(outlook(inputs, timeline), nothing, "{evidence:?}");
            });
        }
    }
}
