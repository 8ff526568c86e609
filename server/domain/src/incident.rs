//! Problem episodes: what makes two faults the same problem, and why an episode ended.
use kioskwatch_proto::{KioskId, PeripheralName, SiteId, faults::FaultCode};

use crate::fleet::count_words as words;

words!(
    /// Why an episode ended.
    CloseReason {
        /// The agent recorded the end of the fault.
        Cleared = "cleared",
        /// A snapshot of the whole state does not name it.
        NotInSnapshot = "not_in_snapshot",
        /// The kiosk is heard again.
        Heard = "heard",
        /// Enough kiosks of the site are heard again.
        SiteBack = "site_back",
        /// A person closed the ticket of a problem only people can end.
        ByPerson = "by_person",
        /// The kiosk was retired.
        Retired = "retired",
    }
);

/// `kiosk/peripheral/fault`: at most one open episode has it.
#[must_use]
pub fn fingerprint(kiosk: &KioskId, peripheral: &PeripheralName, fault: &FaultCode) -> String {
    format!("{kiosk}/{peripheral}/{fault}")
}

/// `site/fault` for an outage of a whole site.
#[must_use]
pub fn site_fingerprint(site: &SiteId, fault: &FaultCode) -> String {
    format!("{site}/{fault}")
}

/// Faults that only the server raises: an agent's snapshot says nothing about them.
#[must_use]
pub fn is_ours(fault: &FaultCode) -> bool {
    use kioskwatch_proto::faults::codes;
    matches!(fault.as_str(), codes::KIOSK_OFFLINE | codes::SITE_OFFLINE | codes::JOURNAL_FORK)
}
