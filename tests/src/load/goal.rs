//! What a figure should be, told beside it.
use std::fmt;

#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// A goal and whether a figure reached it.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    goal: Goal,
    reached: bool,
}

impl Goal {
    /// Beside a figure of the same unit.
    pub fn of(self, measured: f64) -> Told {
        let reached = match self {
            Self::AtMost(most) => measured <= most,
            Self::AtLeast(least) => measured >= least,
        };
        Told { goal: self, reached }
    }

    /// Of the resident memory of a server, in MiB: 60 MiB for up to 10,000 kiosks, 1 KiB a kiosk from 100,000 on.
    pub fn of_memory(kiosks: u32) -> Option<Self> {
        match kiosks {
            0..=10_000 => Some(Self::AtMost(60.0)),
            100_000.. => Some(Self::AtMost(f64::from(kiosks) / 1_024.0)),
            _ => None,
        }
    }
}

const REACHED: &str = ": reached)";
const MISSED: &str = ": NOT REACHED)";

/// How many goals a printed line tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub reached: usize,
    pub missed: usize,
}

impl Verdict {
    /// `None` for a line without a goal.
    pub fn of_line(line: &str) -> Option<Self> {
        let count = |what| line.matches(what).count();
        let verdict = Self { reached: count(REACHED), missed: count(MISSED) };
        (verdict.reached + verdict.missed > 0).then_some(verdict)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, limit) = match self.goal {
            Goal::AtMost(most) => ("at most", most),
            Goal::AtLeast(least) => ("at least", least),
        };
        let outcome = if self.reached { REACHED } else { MISSED };
        write!(f, "(goal {word} {}{outcome}", (limit * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_at_its_goal_reaches_it() {
        for (goal, measured, told) in [
            (Goal::AtMost(15.0), 15.0, "(goal at most 15: reached)"),
            (Goal::AtMost(15.0), 15.1, "(goal at most 15: NOT REACHED)"),
            (Goal::AtLeast(90.0), 90.0, "(goal at least 90: reached)"),
            (Goal::AtLeast(90.0), 89.9, "(goal at least 90: NOT REACHED)"),
        ] {
            assert_eq!(goal.of(measured).to_string(), told, "{measured}");
        }
    }

    #[test]
    fn memory_has_a_goal_for_a_small_fleet_and_for_a_large_one() {
        let told = |kiosks| Goal::of_memory(kiosks).map(|goal| goal.of(61.0).to_string());
        assert_eq!(told(10_000).unwrap(), "(goal at most 60: NOT REACHED)");
        assert_eq!(told(20_000), None);
        assert_eq!(told(100_000).unwrap(), "(goal at most 97.7: reached)");
    }
}
