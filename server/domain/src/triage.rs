//! Whether a problem needs people, and why or why not.
//!
//! One pure function over what is known; every answer carries a reason that is stored, counted and shown.
use kioskwatch_proto::{
    Timestamp,
    faults::FaultCode,
    faults::codes,
    words::{ServiceState, Severity},
};
use uuid::Uuid;

use crate::{change::IncidentRow, fleet::count_words as words, ticket::Because};

words!(
    /// Why no ticket opens. The problem stays visible.
    SuppressReason {
        /// Information, no defect.
        Info = "info",
        /// An approved maintenance window or another exclusion.
        Maintenance = "maintenance",
        /// Not commissioned yet, retired, or not admitted.
        NotInService = "not_in_service",
    }
);

words!(
    /// Why the decision waits.
    HoldReason {
        /// For neighbours of the same site (D3).
        SiteHold = "site_hold",
        /// The site is closed (D2).
        OutsideHours = "outside_hours",
        /// The agent said goodbye: a restart or an update.
        Goodbye = "goodbye",
        /// The site came back, this kiosk not yet.
        SiteReturned = "site_returned",
        /// The server itself could not hear: nothing is decided until the fleet has settled.
        Deaf = "deaf",
    }
);

words!(
    /// Why a problem shares a ticket or a parent.
    ShareReason {
        /// Its whole site is out.
        SiteOutage = "site_outage",
        /// A ticket for the same peripheral of the same kiosk is open.
        SamePeripheral = "same_peripheral",
        /// The same fault came back within the time of SR-032.
        CameBack = "came_back",
        /// The fault came back before its ticket was signed off.
        FaultBack = "fault_back",
    }
);

words!(
    /// What was decided.
    DecisionWord {
        Opened = "ticket opened",
        Gathered = "gathered",
        Reopened = "reopened",
        Attached = "attached",
        /// It waits.
        Held = "held",
        /// Nobody is needed.
        Suppressed = "suppressed",
    }
);

/// A decision as an incident's row keeps it, for those who tell it in other words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    pub decision: DecisionWord,
    pub why: Why,
    /// Until when it holds, where that was known.
    pub until: Option<Timestamp>,
}

/// Why it fell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Needed,
    Shared(ShareReason),
    Held(HoldReason),
    Suppressed(SuppressReason),
}

impl Why {
    /// The word its sentence begins with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Shared(why) => why.as_str(),
            Self::Held(why) => why.as_str(),
            Self::Suppressed(why) => why.as_str(),
        }
    }
}

impl Noted {
    /// `None`: nothing is decided yet, or in words of another version.
    #[must_use]
    pub fn of(row: &IncidentRow) -> Option<Self> {
        let decision = DecisionWord::ALL.iter().copied().find(|word| word.as_str() == row.triage)?;
        let (word, sentence) = row.triage_reason.split_once(':')?;
        let why = match decision {
            DecisionWord::Opened => Some(Why::Needed).filter(|why| why.as_str() == word),
            DecisionWord::Gathered | DecisionWord::Reopened | DecisionWord::Attached => {
                ShareReason::ALL.iter().copied().find(|why| why.as_str() == word).map(Why::Shared)
            }
            DecisionWord::Held => HoldReason::of(row).map(Why::Held),
            DecisionWord::Suppressed => SuppressReason::of(row).map(Why::Suppressed),
        };
        let until = sentence.rsplit(' ').next().and_then(|at| Timestamp::parse(at).ok());
        why.map(|why| Self { decision, why, until })
    }
}

/// What to do about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    OpenTicket,
    /// Join a ticket that is open.
    Gather(Uuid, ShareReason),
    /// Bring a resolved or closed ticket back.
    Reopen(Uuid, ShareReason),
    /// Another incident explains this one.
    Attach(Uuid, ShareReason),
    Hold {
        until: Timestamp,
        why: HoldReason,
    },
    /// `again_at`: when the reason ends, if it ends by itself.
    Suppress {
        why: SuppressReason,
        again_at: Option<Timestamp>,
    },
}

impl Decision {
    /// The word in `incident.triage`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        let word = match self {
            Self::OpenTicket => DecisionWord::Opened,
            Self::Gather(..) => DecisionWord::Gathered,
            Self::Reopen(..) => DecisionWord::Reopened,
            Self::Attach(..) => DecisionWord::Attached,
            Self::Hold { .. } => DecisionWord::Held,
            Self::Suppress { .. } => DecisionWord::Suppressed,
        };
        word.as_str()
    }

    /// The sentence in `incident.triage_reason`; begins with the stable word of the reason.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::OpenTicket => Because::Needed.into(),
            Self::Gather(_, why) | Self::Reopen(_, why) | Self::Attach(_, why) => {
                let text = match why {
                    ShareReason::SiteOutage => "the whole site is out",
                    ShareReason::SamePeripheral => "a ticket for this peripheral is open",
                    ShareReason::CameBack => "the same fault came back within seven days (SR-032)",
                    ShareReason::FaultBack => "the fault came back before the sign-off",
                };
                format!("{}: {text}", why.as_str())
            }
            Self::Hold { until, why } => {
                let text = match why {
                    HoldReason::SiteHold => "waits for neighbours of the same site until",
                    HoldReason::OutsideHours => "the site is closed until",
                    HoldReason::Goodbye => "the agent said goodbye, expected back before",
                    HoldReason::SiteReturned => "the site came back, this kiosk has time until",
                    HoldReason::Deaf => "the server could not hear; looks again at",
                };
                format!("{}: {text} {until}", why.as_str())
            }
            Self::Suppress { why, again_at } => {
                let text = match why {
                    SuppressReason::Info => "information, no defect",
                    SuppressReason::Maintenance => "planned maintenance",
                    SuppressReason::NotInService => "the kiosk is not in service",
                };
                let until = again_at.map_or_else(String::new, |at| format!(" until {at}"));
                format!("{}: {text}{until}", why.as_str())
            }
        }
    }
}

impl HoldReason {
    /// The reason of a hold as an incident's row keeps it; `None`: the incident is not held.
    #[must_use]
    pub fn of(row: &IncidentRow) -> Option<Self> {
        let (word, _) =
            row.triage_reason.split_once(':').filter(|_| row.triage == DecisionWord::Held.as_str())?;
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

impl SuppressReason {
    /// Why no ticket opened, as an incident's row keeps it; `None`: another decision stands there.
    #[must_use]
    pub fn of(row: &IncidentRow) -> Option<Self> {
        let (word, _) =
            row.triage_reason.split_once(':').filter(|_| row.triage == DecisionWord::Suppressed.as_str())?;
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

/// Everything a decision depends on.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    pub now: Timestamp,
    pub fault: &'a FaultCode,
    pub severity: Severity,
    pub in_service: bool,
    /// When it comes into service, if that is known and lies ahead.
    pub begins_at: Option<Timestamp>,
    /// End of the approved exclusion that holds now.
    pub excluded_until: Option<Timestamp>,
    /// The open incident of the whole site.
    pub site_outage: Option<Uuid>,
    /// `None`: the site is open. Otherwise when it opens, or the end of the search.
    pub opens_at: Option<Timestamp>,
    /// What holds an offline verdict back and until when; past times hold nothing.
    pub hold: Option<(Timestamp, HoldReason)>,
    /// An open ticket of the same peripheral.
    pub open_ticket: Option<Uuid>,
    /// A resolved ticket, or one closed recently, of the same fault.
    pub returning_ticket: Option<(Uuid, ShareReason)>,
}

/// Decides. The stages come in the order in which a dispatcher would ask.
#[must_use]
pub fn decide(case: &Case<'_>) -> Decision {
    let suppress = |why, again_at| Decision::Suppress { why, again_at };
    if !case.in_service {
        return suppress(SuppressReason::NotInService, case.begins_at.filter(|&at| at > case.now));
    }
    if case.severity == Severity::Info {
        return suppress(SuppressReason::Info, None);
    }
    if let Some(until) = case.excluded_until {
        return suppress(SuppressReason::Maintenance, Some(until));
    }
    if case.fault.as_str() == codes::KIOSK_OFFLINE {
        if let Some(parent) = case.site_outage {
            return Decision::Attach(parent, ShareReason::SiteOutage);
        }
        if let Some(until) = case.opens_at.filter(|&at| at > case.now) {
            return Decision::Hold { until, why: HoldReason::OutsideHours };
        }
        if let Some((until, why)) = case.hold.filter(|&(until, _)| until > case.now) {
            return Decision::Hold { until, why };
        }
    }
    if let Some(ticket) = case.open_ticket {
        return Decision::Gather(ticket, ShareReason::SamePeripheral);
    }
    if let Some((ticket, why)) = case.returning_ticket {
        return Decision::Reopen(ticket, why);
    }
    Decision::OpenTicket
}

/// Severity of the ticket, never just copied from the fault: an unusable kiosk or a major fault is 重大
/// (SR-013).
#[must_use]
pub fn ticket_severity(fault: Severity, service: Option<ServiceState>) -> Severity {
    let unusable = service == Some(ServiceState::OutOfService);
    if fault == Severity::Major || unusable { Severity::Major } else { Severity::Minor }
}

/// A site outage begins when at least two, and at least half, of those that should be on dropped together.
#[must_use]
pub const fn is_site_outage(down: usize, should_be_on: usize) -> bool {
    down >= 2 && down * 2 >= should_be_on
}

#[cfg(test)]
mod tests;
