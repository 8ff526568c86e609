//! Whether a problem needs people, and why or why not.
use crate::fleet::count_words as words;

words!(
    /// Why no ticket opens. The problem stays visible.
    SuppressReason {
        /// Information, no defect.
        Info = "info",
        /// An approved maintenance window or another exclusion.
        Maintenance = "maintenance",
        /// Not commissioned yet, retired, or not admitted.
        NotInService = "not_in_service",
        /// A person cancelled the ticket while the fault was still raised.
        Cancelled = "cancelled",
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
    }
);
