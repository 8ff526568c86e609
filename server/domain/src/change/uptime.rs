//! Rows of month figures, of restatements and of corrections.
use std::collections::BTreeMap;

use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::{GroupKind, KioskRow, SiteRow};
use crate::calendar::WorkCalendar;
use crate::interval::Interval;
use crate::uptime::contracts::{Belonged, Renamed};
use crate::uptime::{Cause, Commissioned, Figures, Known, Month, Ratio};

/// What one kiosk owes one owner in one month, in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthRow {
    pub month: Month,
    pub kiosk: KioskId,
    /// 0: what everything known says now, replaced as evidence comes in. 1: fixed at the freeze.
    /// 2, 3 …: restated. Above 0 a version is written at once, whole, and never again.
    pub version: u32,
    /// `None`: it stood nowhere.
    pub site: Option<SiteId>,
    /// `None`: nobody answered for it.
    pub engineer: Option<String>,
    pub region: String,
    pub customer: String,
    pub model: String,
    pub period_from: Timestamp,
    pub period_to: Timestamp,
    /// Up to where time had passed.
    pub as_of: Timestamp,
    pub booked_at: Timestamp,
    /// Of a signed month: only what had been received and approved before this made its version 1. `None` of version
    /// 0, and where it was not written down yet.
    pub frozen_at: Option<Timestamp>,
    /// Availability's target as numerator and denominator.
    pub target: (i64, i64),
    pub sums: MonthSums,
    /// Hex of SHA-256 over all inputs.
    pub fingerprint: String,
    /// JSON text: the same for each kind of input, so that a difference has a name.
    pub inputs: String,
}

impl MonthRow {
    /// As of the end of the period: nothing that counted, and nobody's, at the target of the default configuration.
    #[must_use]
    pub fn nothing(kiosk: KioskId, month: Month, period: Interval, booked_at: Timestamp) -> Self {
        let at = |seconds: i64| Timestamp(seconds.saturating_mul(1_000));
        Self {
            month,
            kiosk,
            version: 0,
            site: None,
            engineer: None,
            region: String::new(),
            customer: String::new(),
            model: String::new(),
            period_from: at(period.from),
            period_to: at(period.to),
            as_of: at(period.to),
            booked_at,
            frozen_at: None,
            target: (99, 100),
            sums: MonthSums::default(),
            fingerprint: String::new(),
            inputs: "{}".to_owned(),
        }
    }

    /// Whether its owner had any time in the month: what was taken from an owner stays as a row of nothing.
    #[must_use]
    pub const fn has_time(&self) -> bool {
        self.sums.has_time()
    }
}

/// The integers of a month figure; sums of them are of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthSums {
    pub figures: Figures,
    /// What approved exclusions took out of accountable time.
    pub excluded_s: i64,
    /// The contract ratios as they were without any exclusion.
    pub raw_on: Ratio,
    pub raw_avail: Ratio,
    pub raw_full: Ratio,
    /// Outages that began here.
    pub outages: i64,
    /// The same by the cause of their first down second; they add up to `outages`, but for
    /// [`Self::not_told_by_cause`]. Only causes that began one.
    pub outages_by_cause: BTreeMap<Cause, i64>,
    /// Of the longest part of an outage that lies here, also of one that began at another owner's.
    pub longest_outage_s: i64,
    pub longest_outage_at: Option<Timestamp>,
}

impl MonthSums {
    /// Whether there was any time to answer for, or to be forgiven.
    #[must_use]
    pub const fn has_time(&self) -> bool {
        self.figures.accountable_s + self.excluded_s > 0
    }

    /// Outages in rows that were booked by a server that did not note their cause: what was signed so stays so.
    #[must_use]
    pub fn not_told_by_cause(&self) -> i64 {
        self.outages - self.outages_by_cause.values().sum::<i64>()
    }

    /// How many began with this cause. `None`: nobody knows of any, and of some nobody knows by what they began.
    #[must_use]
    pub fn outages_by(&self, cause: Cause) -> Option<i64> {
        let never = (self.not_told_by_cause() == 0).then_some(0);
        self.outages_by_cause.get(&cause).copied().or(never)
    }
}

impl<'a> std::iter::Sum<&'a Self> for MonthSums {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut total, one| {
            total.figures += &one.figures;
            total.excluded_s += one.excluded_s;
            total.raw_on += one.raw_on;
            total.raw_avail += one.raw_avail;
            total.raw_full += one.raw_full;
            total.outages += one.outages;
            for (cause, outages) in &one.outages_by_cause {
                *total.outages_by_cause.entry(*cause).or_default() += outages;
            }
            if one.longest_outage_s > total.longest_outage_s {
                (total.longest_outage_s, total.longest_outage_at) =
                    (one.longest_outage_s, one.longest_outage_at);
            }
            total
        })
    }
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestatementState {
    Proposed,
    Approved,
    Rejected,
    /// Later evidence made another one.
    Superseded,
    /// Nobody decided within the days for it.
    Expired,
}

stored_words!(RestatementState {
    Proposed = "proposed", Approved = "approved", Rejected = "rejected", Superseded = "superseded",
    Expired = "expired",
});

/// A kind of input of a month's figures, as [`crate::uptime::booking`] takes the fingerprint of each: the words in which
/// a proposal says what changed since it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Where the month begins and ends.
    Period,
    ServiceHours,
    /// The kiosk's dates of service.
    Commissioned,
    /// Forgiven time.
    Exclusions,
    ServerOutages,
    /// Who answered for it.
    Owners,
    Evidence,
}

stored_words!(InputKind {
    Period = "period", ServiceHours = "service_hours", Commissioned = "commissioned", Exclusions = "exclusions",
    ServerOutages = "server_outages", Owners = "owners", Evidence = "evidence",
});

/// Signed figures that something contradicts which came later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestatementRow {
    pub id: Uuid,
    pub kiosk: KioskId,
    pub month: Month,
    /// The version that would be replaced as the official one; it stays readable.
    pub base_version: u32,
    pub state: RestatementState,
    /// Of the figures proposed.
    pub fingerprint: String,
    /// One English sentence: which kind of input changed.
    pub why: String,
    /// JSON text of figures.
    pub before: String,
    pub after: String,
    pub proposed_at: Timestamp,
    pub decided: Option<Decided>,
}

/// Who decided, when, and for which reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub by: String,
    pub at: Timestamp,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CorrectionState {
    Requested,
    Approved,
    Rejected,
}

stored_words!(CorrectionState { Requested = "requested", Approved = "approved", Rejected = "rejected" });

/// What somebody says was entered wrong about time up to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionRow {
    pub id: Uuid,
    pub what: Correction,
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: String,
    pub state: CorrectionState,
    pub requested_by: String,
    pub requested_at: Timestamp,
    pub decided: Option<Decided>,
    /// JSON text: figures of the affected months before and after.
    pub effect: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correction {
    /// Time that should have been forgiven.
    Exclusion {
        /// Exactly one of kiosk and site.
        kiosk: Option<KioskId>,
        site: Option<SiteId>,
        class: String,
        /// When a forgotten maintenance had been agreed; of other classes nothing.
        agreed_at: Option<Timestamp>,
    },
    /// An approved exclusion that does not hold.
    Withdrawal {
        exclusion: Uuid,
        /// As in the exclusion.
        kiosk: Option<KioskId>,
        site: Option<SiteId>,
        class: String,
    },
    /// Where a kiosk stood, who answered for it, or which model it was: at all of this time another one, or none.
    Assignment { kiosk: KioskId, group: GroupKind, before: Vec<Held>, after: Option<String> },
    /// To whom a site belonged: at all of this time another region, another customer, or both.
    Contract { site: SiteId, before: Vec<Belonged>, after: Renamed },
    /// Service hours of a site, JSON text of schedule versions.
    ServiceHours { site: SiteId, before: String, after: String },
    /// The time zone of a site, as an IANA name.
    Timezone { site: SiteId, before: String, after: String },
    /// From and to when a kiosk counts: other dates in place of all these stretches.
    Commissioning { kiosk: KioskId, before: Commissioned, after: ServiceSpan },
}

/// To whom a kiosk belonged from one instant to another; `None`: to nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub id: Option<String>,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// By which wall clock and hours a site's time is counted, as it is known since an instant, and to whom it belongs from
/// that instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteTermsRow {
    pub site: SiteId,
    /// [`Self::ALWAYS`]: what was known before anything else became known.
    pub known_from: Timestamp,
    /// As in [`SiteRow`].
    pub timezone: String,
    pub service_hours: String,
    pub region: String,
    pub customer: String,
}

impl SiteTermsRow {
    pub const ALWAYS: Timestamp = Timestamp(0);

    #[must_use]
    pub fn of(site: &SiteRow, known_from: Timestamp) -> Self {
        Self {
            site: site.id.clone(),
            known_from,
            timezone: site.timezone.clone(),
            service_hours: site.service_hours.clone(),
            region: site.region.clone(),
            customer: site.customer.clone(),
        }
    }
}

/// Which days off and make-up days the hours of sites are read by, and how long before its begin planned work is approved,
/// as they are known since an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarTermsRow {
    /// [`Self::ALWAYS`]: what was known before anything else became known.
    pub known_from: Timestamp,
    /// Without where they come from ([`WorkCalendar::bare`]).
    pub days: WorkCalendar,
    pub planned_notice_h: i64,
}

impl CalendarTermsRow {
    pub const ALWAYS: Timestamp = Timestamp(0);

    /// What a server that starts at `now` with this calendar and notice has to note behind what was noted before:
    /// nothing, where they say the same. What a wrong clock noted says the same from then on.
    #[must_use]
    pub fn learned(
        noted: &[Self],
        calendar: &WorkCalendar,
        planned_notice_h: i64,
        now: Timestamp,
    ) -> Vec<Self> {
        let row = |known_from| Self { known_from, days: calendar.bare(), planned_notice_h };
        if noted.is_empty() {
            return vec![row(Self::ALWAYS)];
        }
        let mut known = Known::default();
        for Self { known_from, days, planned_notice_h } in noted {
            known.learn(*known_from, (days.clone(), *planned_notice_h));
        }
        match known.is_news(&(calendar.bare(), planned_notice_h), now) {
            true => [known.learned_at(now)].into_iter().chain(known.wrong(now)).map(row).collect(),
            false => Vec::new(),
        }
    }
}

/// When a kiosk counts, as it is known since an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommissionedRow {
    pub kiosk: KioskId,
    /// [`Self::ALWAYS`]: what was known before anything else became known.
    pub known_from: Timestamp,
    /// All of its stretches; the newest is the one in its [`KioskRow`], unless that has no beginning: a return was taken
    /// back.
    pub stretches: Commissioned,
}

impl CommissionedRow {
    pub const ALWAYS: Timestamp = Timestamp(0);
}

/// From and to when a kiosk counts: one stretch of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceSpan {
    pub commissioned_at: Option<Timestamp>,
    pub decommissioned_at: Option<Timestamp>,
}

impl ServiceSpan {
    #[must_use]
    pub const fn of(kiosk: &KioskRow) -> Self {
        Self { commissioned_at: kiosk.commissioned_at, decommissioned_at: kiosk.decommissioned_at }
    }

    /// From when on a kiosk counts of which nobody says it: as known, from its acceptance, or from its return on. `until`
    /// is when it shall end.
    #[must_use]
    pub fn begins(self, now: Timestamp, is_accepted: bool, until: Option<Timestamp>) -> Option<Timestamp> {
        let goes_on = is_accepted && until.is_none_or(|end| end > now);
        let has_ended = self.decommissioned_at.is_some_and(|end| end <= now);
        match self.commissioned_at {
            Some(since) if !(has_ended && goes_on) => Some(since),
            _ => goes_on.then_some(now),
        }
    }

    /// # Errors
    /// It would end before it begins, in words.
    pub fn check(self) -> Result<(), String> {
        match (self.commissioned_at, self.decommissioned_at) {
            (Some(since), Some(until)) if until < since => {
                Err(format!("decommissioned_at {until} lies before commissioned_at {since}"))
            }
            _ => Ok(()),
        }
    }

    /// The same kiosk with these dates.
    #[must_use]
    pub fn put_into(self, kiosk: &KioskRow) -> KioskRow {
        let Self { commissioned_at, decommissioned_at } = self;
        KioskRow { commissioned_at, decommissioned_at, ..kiosk.clone() }
    }
}

impl Correction {
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Exclusion { .. } => "exclusion",
            Self::Withdrawal { .. } => "withdrawal",
            Self::Assignment { group: GroupKind::Site, .. } => "stood_at",
            Self::Assignment { group: GroupKind::Engineer, .. } => "answered_for",
            Self::Assignment { group: GroupKind::Model, .. } => "was_model",
            Self::Contract { .. } => "belonged_to",
            Self::ServiceHours { .. } => "service_hours",
            Self::Timezone { .. } => "timezone",
            Self::Commissioning { .. } => "commissioning",
        }
    }
}
