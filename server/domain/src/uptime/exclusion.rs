//! Time that is forgiven, and time that was never ours ("uptime definition 2.4 and 2.5").

use super::sweep::Inputs;
use crate::interval::{Interval, IntervalSet};

/// What a planned window needs between its approval and its beginning.
pub const PLANNED_NOTICE_S: i64 = 24 * 3_600;

/// Why a window of time is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExclusionClass {
    Planned,
    SiteClosed,
    CustomerPower,
    CustomerNetwork,
    ForceMajeure,
    CustomerHold,
}

impl ExclusionClass {
    pub const ALL: [Self; 6] = [
        Self::Planned,
        Self::SiteClosed,
        Self::CustomerPower,
        Self::CustomerNetwork,
        Self::ForceMajeure,
        Self::CustomerHold,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::SiteClosed => "site_closed",
            Self::CustomerPower => "customer_power",
            Self::CustomerNetwork => "customer_network",
            Self::ForceMajeure => "force_majeure",
            Self::CustomerHold => "customer_hold",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

/// A window somebody asked to have forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exclusion {
    pub window: Interval,
    pub class: ExclusionClass,
    /// When it was approved; `None` while it is only a wish.
    pub approved_at: Option<i64>,
    /// When planned work had been agreed; `None`: with its approval.
    pub agreed_at: Option<i64>,
    /// Since when it is known not to hold; `None`: it holds.
    pub withdrawn_at: Option<i64>,
}

impl Exclusion {
    /// Whether it stood by what was known before a second; `None`: by now.
    #[must_use]
    pub fn stood(&self, known_before: Option<i64>) -> bool {
        let was = |at: i64| known_before.is_none_or(|limit| at < limit);
        self.approved_at.is_some_and(was) && !self.withdrawn_at.is_some_and(was)
    }

    /// Whether the window counts. Planned work must have been approved in time, or every outage could be
    /// declared planned afterwards; the other classes are facts that are known only later.
    #[must_use]
    pub fn is_granted(&self, planned_notice_s: i64) -> bool {
        self.approved_at.is_some_and(|approved| match self.class {
            ExclusionClass::Planned => {
                self.agreed_at.unwrap_or(approved) <= self.window.from.saturating_sub(planned_notice_s)
            }
            _ => true,
        })
    }
}

/// The forgiven seconds: exactly the granted windows, never the overrun.
#[must_use]
pub fn granted(exclusions: &[Exclusion], planned_notice_s: i64) -> IntervalSet {
    exclusions.iter().filter(|one| one.is_granted(planned_notice_s)).map(|one| one.window).collect()
}

/// Why time of the period is not accountable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotAccountable {
    NotCommissioned,
    OutsideServiceHours,
    Excluded,
}

impl NotAccountable {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotCommissioned => "not_commissioned",
            Self::OutsideServiceHours => "outside_service_hours",
            Self::Excluded => "excluded",
        }
    }
}

/// The rest of the period: what is not accountable, in order, and the first reason why.
#[must_use]
pub fn not_accountable(inputs: &Inputs<'_>) -> Vec<(Interval, NotAccountable)> {
    let period = IntervalSet::of(inputs.elapsed_period());
    let commissioned = period.intersect(inputs.commissioned);
    let open = commissioned.intersect(inputs.service);
    let parts = [
        (period.subtract(&commissioned), NotAccountable::NotCommissioned),
        (commissioned.subtract(&open), NotAccountable::OutsideServiceHours),
        (open.intersect(inputs.exclusions), NotAccountable::Excluded),
    ];
    let mut out: Vec<_> =
        parts.iter().flat_map(|(set, reason)| set.iter().map(|part| (part, *reason))).collect();
    out.sort_unstable_by_key(|(part, _)| part.from);
    out
}
