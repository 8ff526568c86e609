//! Why a kiosk was not in service ("uptime definition 2.10").

/// One cause of a down second. The order is the precedence: of several causes the first one counts,
/// because a printer that fails in a power cut is not the printer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    Power,
    Network,
    Host,
    Hardware,
    Supplies,
    Software,
    Unexplained,
}

impl Cause {
    pub const ALL: [Self; 7] = [
        Self::Power,
        Self::Network,
        Self::Host,
        Self::Hardware,
        Self::Supplies,
        Self::Software,
        Self::Unexplained,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Network => "network",
            Self::Host => "host",
            Self::Hardware => "hardware",
            Self::Supplies => "supplies",
            Self::Software => "software",
            Self::Unexplained => "unexplained",
        }
    }

    /// The cause of that name, as stored and shown.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// Whether the maintainer's engineers answer for it; what the customer's building or the
    /// institution's host causes is taken out of their figure.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        !matches!(self, Self::Power | Self::Network | Self::Host)
    }
}
