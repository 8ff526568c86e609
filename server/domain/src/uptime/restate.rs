//! The freeze of a month, and when late evidence deserves a new version ("uptime definition 2.8").
//!
//! Official figures never change behind a reader's back. Evidence, schedules and approvals that come
//! after the freeze can only propose a new version, which a person accepts with a reason.

use super::figures::Figures;
use super::ratio::Ratio;

/// Hours after the period's end in which evidence still counts for version 1.
pub const FREEZE_HOURS: i64 = 24;

/// Days after the period's end in which a restatement may be proposed.
pub const RESTATE_DAYS: i64 = 35;

/// A ratio has to move by a ten-thousandth, or the difference would not be seen in any report.
const THRESHOLD: (i64, i64) = (1, 10_000);

/// When the official figures of a period ending at `period_to` are fixed; what is received at that
/// second or later is late.
#[must_use]
pub const fn freeze_at(period_to: i64, freeze_hours: i64) -> i64 {
    period_to.saturating_add(freeze_hours.saturating_mul(3_600))
}

/// The first second at which a restatement may no longer be proposed.
#[must_use]
pub const fn proposals_until(period_to: i64, restate_days: i64) -> i64 {
    period_to.saturating_add(restate_days.saturating_mul(86_400))
}

/// One ratio before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta {
    pub was: Ratio,
    pub now: Ratio,
}

impl Delta {
    /// Alone, or as one of two with somebody of as many seconds who was always down or always up: a share whose seconds
    /// change weighs otherwise in every group it is part of, also where its own ratio stays.
    fn is_material(self) -> bool {
        let other = self.was.den.max(self.now.den);
        [Ratio::default(), Ratio::new(0, other), Ratio::new(other, other)].into_iter().any(|beside| {
            let [was, now] =
                [self.was, self.now].map(|one| Ratio::new(one.num + beside.num, one.den + beside.den));
            was.differs_by(now, THRESHOLD.0, THRESHOLD.1)
        })
    }
}

/// A new version worth proposing, with every ratio that somebody is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    pub on: Delta,
    pub avail: Delta,
    pub full: Delta,
    /// What the engineer answers for: a cause that becomes known late moves it alone.
    pub engineer_kpi: Delta,
}

/// Compares stored figures with what all evidence says now. `None` when no ratio moved enough to
/// matter, nor what it weighs in the ratio of a group; reachability is a diagnosis and never moves a version.
#[must_use]
pub fn proposal(stored: &Figures, now: &Figures) -> Option<Proposal> {
    let proposal = Proposal {
        on: Delta { was: stored.on, now: now.on },
        avail: Delta { was: stored.avail, now: now.avail },
        full: Delta { was: stored.full, now: now.full },
        engineer_kpi: Delta { was: stored.engineer_kpi(), now: now.engineer_kpi() },
    };
    let Proposal { on, avail, full, engineer_kpi } = proposal;
    let material = [on, avail, full, engineer_kpi].into_iter().any(Delta::is_material);
    material.then_some(proposal)
}
