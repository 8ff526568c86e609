//! What is known about a kiosk, by whom, and since when we know ("uptime definition 2.6").

use super::causes::Cause;

/// The state a piece of evidence proves, worst first: when one source contradicts itself, the smaller
/// one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The machine was off.
    Off,
    /// On, but customers could not use it.
    OutOfService,
    /// On, and nothing is known about the service it gave.
    OnOnly,
    /// In service, with an optional part or a supply missing.
    Degraded,
    /// In service with everything working.
    Full,
}

impl State {
    /// Worst first.
    pub const ALL: [Self; 5] = [Self::Off, Self::OutOfService, Self::OnOnly, Self::Degraded, Self::Full];

    /// The name used in case files, storage and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::OutOfService => "OOS",
            Self::OnOnly => "ON_ONLY",
            Self::Degraded => "DEGRADED",
            Self::Full => "FULL",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether the machine was switched on. Every state knows that.
    #[must_use]
    pub const fn on(self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Whether customers could be served; `None` when the state does not tell.
    #[must_use]
    pub const fn service(self) -> Option<bool> {
        match self {
            Self::Off | Self::OutOfService => Some(false),
            Self::OnOnly => None,
            Self::Degraded | Self::Full => Some(true),
        }
    }

    /// Whether everything worked; `None` when the state does not tell.
    #[must_use]
    pub const fn full(self) -> Option<bool> {
        match self {
            Self::Off | Self::OutOfService | Self::Degraded => Some(false),
            Self::OnOnly => None,
            Self::Full => Some(true),
        }
    }
}

/// Who says so. The journal was there; live heartbeats only arrived here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Journal,
    Live,
}

impl Source {
    pub const ALL: [Self; 2] = [Self::Journal, Self::Live];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Live => "live",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }
}

/// One claim: in `[from, to)` the kiosk was in `state`. Times are seconds on the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    pub src: Source,
    pub from: i64,
    pub to: i64,
    pub state: State,
    pub cause: Option<Cause>,
    /// When the server received it; `None` when it came as it happened.
    pub recv: Option<i64>,
    /// Of heartbeats: how many seconds after the last of them the next one was due; `None` where nobody noted it.
    pub interval_s: Option<i64>,
}

impl Evidence {
    /// Moves a claim from the device's clock to the server's. `ahead_s` is how far the device was ahead.
    #[must_use]
    pub fn from_device_clock(self, ahead_s: i64) -> Self {
        Self { from: self.from.saturating_sub(ahead_s), to: self.to.saturating_sub(ahead_s), ..self }
    }

    /// The end of what it can prove: nobody reports what has not happened yet, so a claim never reaches
    /// past its own arrival.
    #[must_use]
    pub fn proven_to(&self) -> i64 {
        self.recv.map_or(self.to, |recv| self.to.min(recv))
    }

    /// Whether it had arrived strictly before `t`.
    #[must_use]
    pub fn arrived_before(&self, t: i64) -> bool {
        self.recv.is_none_or(|recv| recv < t)
    }
}
