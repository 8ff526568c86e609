//! A question on a line where an answer does not say what it answers: listen for silence, ask, wait, ask
//! once more. What all sessions share; which frames there are and what answers them is theirs.
use super::{Mono, Outcome, Work, scrap::Scrap};

/// What a kind of line and device takes, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long an answer is waited for.
    pub reply_ms: u64,
    /// How long the line must be silent before a question that could meet an old answer.
    pub quiet_ms: u64,
    /// A line that never falls silent is asked nevertheless after this long.
    pub quiet_at_most_ms: u64,
}

/// How a question ended that was not answered, after all its tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    Silent,
    /// The first bytes of what came instead of an answer.
    Garbled(Vec<u8>),
}

impl Failure {
    /// The finding about the work that needed the answer.
    pub(super) fn of(self, work: Work) -> Outcome {
        match self {
            Self::Silent => Outcome::NoAnswer { work },
            Self::Garbled(raw) => Outcome::Garbled { work, raw },
        }
    }
}

/// What the clock asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due<Q> {
    Nothing,
    /// The line is silent: send it now.
    Ask(Q),
    /// The answer to it is overdue.
    Overdue(Q),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase<Q> {
    Resting,
    Quieting { question: Q, until: Mono, at_most: Mono },
    Waiting { question: Q, until: Mono },
}

/// The question under way, its patience and its tries.
#[derive(Debug)]
pub(super) struct Exchange<Q> {
    pace: Pace,
    phase: Phase<Q>,
    tries_left: u8,
    /// What did not fit, since the first try.
    pub(super) scrap: Scrap,
}

impl<Q: Copy> Exchange<Q> {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, phase: Phase::Resting, tries_left: 0, scrap: Scrap::default() }
    }

    /// A new question follows; it may be asked so many times in all.
    pub(super) fn begin(&mut self, tries: u8) {
        self.tries_left = tries;
        self.scrap.clear();
        self.phase = Phase::Resting;
    }

    /// Listens for silence before the question.
    pub(super) fn listen(&mut self, question: Q, now: Mono) {
        let at_most = now + self.pace.quiet_at_most_ms;
        self.phase = Phase::Quieting { question, until: now + self.pace.quiet_ms, at_most };
    }

    /// The question went out.
    pub(super) fn asked(&mut self, question: Q, now: Mono) {
        self.phase = Phase::Waiting { question, until: now + self.pace.reply_ms };
    }

    /// A byte came: the silence has to begin again.
    pub(super) fn heard_byte(&mut self, now: Mono) {
        if let Phase::Quieting { until, at_most, .. } = &mut self.phase {
            *until = (now + self.pace.quiet_ms).min(*at_most);
        }
    }

    /// The question whose answer is waited for.
    pub(super) fn waiting_for(&self) -> Option<Q> {
        match self.phase {
            Phase::Waiting { question, .. } => Some(question),
            Phase::Resting | Phase::Quieting { .. } => None,
        }
    }

    pub(super) fn is_quieting(&self) -> bool {
        matches!(self.phase, Phase::Quieting { .. })
    }

    /// The question is over, whatever came of it.
    pub(super) fn rest(&mut self) {
        self.phase = Phase::Resting;
    }

    /// Gives up this try. Without an error there is another one; the question must be asked again.
    pub(super) fn try_failed(&mut self) -> Result<(), Failure> {
        self.rest();
        self.tries_left = self.tries_left.saturating_sub(1);
        if self.tries_left > 0 {
            Ok(())
        } else if self.scrap.is_empty() {
            Err(Failure::Silent)
        } else {
            Err(Failure::Garbled(self.scrap.first().to_vec()))
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        match self.phase {
            Phase::Resting => None,
            Phase::Quieting { until, .. } | Phase::Waiting { until, .. } => Some(until),
        }
    }

    pub(super) fn due(&self, now: Mono) -> Due<Q> {
        match self.phase {
            Phase::Quieting { question, until, .. } if now >= until => Due::Ask(question),
            Phase::Waiting { question, until } if now >= until => Due::Overdue(question),
            _ => Due::Nothing,
        }
    }
}
