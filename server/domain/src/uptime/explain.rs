//! Why each second counted as it did ("uptime definition 2.7").
//!
//! The figures are summed from the same judgement that is printed here.

use super::causes::Cause;
use super::evidence::{Source, State};
use super::sweep::{Basis, Timeline};

/// How a piece counts in one ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In numerator and denominator.
    Up,
    /// In the denominator only.
    Down,
    /// In neither.
    LeftOut,
}

impl Verdict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::LeftOut => "left_out",
        }
    }
}

/// The reason of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The evidence says so.
    Evidence,
    /// Nobody said anything although the server was listening: silence is the kiosk's.
    Silence,
    /// Nobody said anything, and the server could not have heard it.
    SilenceWhileServerDown,
    /// The machine was on, its service state is not known, and the server was listening.
    ServiceUnknown,
    /// The machine was on, its service state is not known, and the server could not have heard it.
    ServiceUnknownWhileServerDown,
    /// Heartbeats arrived.
    Heartbeats,
    /// No heartbeats arrived although the server was listening.
    NoHeartbeats,
    /// The server could not receive heartbeats.
    ServerDown,
}

impl Why {
    /// The stable name used in the API and in stored explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Silence => "silence",
            Self::SilenceWhileServerDown => "silence_while_server_down",
            Self::ServiceUnknown => "service_unknown",
            Self::ServiceUnknownWhileServerDown => "service_unknown_while_server_down",
            Self::Heartbeats => "heartbeats",
            Self::NoHeartbeats => "no_heartbeats",
            Self::ServerDown => "server_down",
        }
    }
}

/// A verdict with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub verdict: Verdict,
    pub why: Why,
}

/// One piece of accountable time, in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    pub from: i64,
    pub to: i64,
    /// `None` when nobody said anything.
    pub state: Option<State>,
    pub source: Option<Source>,
    /// The cause of a piece that is down in `avail`, and of no other.
    pub cause: Option<Cause>,
    pub on: Counted,
    pub avail: Counted,
    pub full: Counted,
    pub online: Counted,
}

impl Timeline {
    /// All of accountable time, in order.
    #[must_use]
    pub fn explain(&self) -> Vec<Explained> {
        let explained = |piece: &super::sweep::Piece| {
            let Judged { on, avail, full, online, cause } = Judged::of(&piece.basis);
            let (state, source) = piece.basis.state.unzip();
            Explained {
                from: piece.span.from,
                to: piece.span.to,
                state,
                source,
                cause,
                on,
                avail,
                full,
                online,
            }
        };
        self.pieces().iter().map(explained).collect()
    }
}

/// The verdicts of one basis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) on: Counted,
    pub(super) avail: Counted,
    pub(super) full: Counted,
    pub(super) online: Counted,
    pub(super) cause: Option<Cause>,
}

impl Judged {
    pub(super) fn of(basis: &Basis) -> Self {
        let state = basis.state.map(|(state, _)| state);
        let avail = signal(basis, state.and_then(State::service));
        let cause = (avail.verdict == Verdict::Down).then(|| basis.cause.unwrap_or(Cause::Unexplained));
        Self {
            on: signal(basis, state.map(State::on)),
            avail,
            full: signal(basis, state.and_then(State::full)),
            online: online(basis),
            cause,
        }
    }
}

fn signal(basis: &Basis, known: Option<bool>) -> Counted {
    let (verdict, why) = match (known, basis.server_down, basis.state.is_some()) {
        (Some(true), _, _) => (Verdict::Up, Why::Evidence),
        (Some(false), _, _) => (Verdict::Down, Why::Evidence),
        (None, true, true) => (Verdict::LeftOut, Why::ServiceUnknownWhileServerDown),
        (None, true, false) => (Verdict::LeftOut, Why::SilenceWhileServerDown),
        (None, false, true) => (Verdict::Down, Why::ServiceUnknown),
        (None, false, false) => (Verdict::Down, Why::Silence),
    };
    Counted { verdict, why }
}

fn online(basis: &Basis) -> Counted {
    let (verdict, why) = match (basis.server_down, basis.live) {
        (true, _) => (Verdict::LeftOut, Why::ServerDown),
        (false, true) => (Verdict::Up, Why::Heartbeats),
        (false, false) => (Verdict::Down, Why::NoHeartbeats),
    };
    Counted { verdict, why }
}
