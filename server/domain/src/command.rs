//! The server's half of a remote command (D6): who may ask, when it is sent again, when it is given up.
//!
//! Signing and publishing are effects; whether an action is safe *now* is the agent's decision.
use kioskwatch_proto::{
    Timestamp,
    command::{Action, ActionClass},
    journal::CommandOutcome,
};

use crate::{
    change::{CommandRow, CommandState},
    policy::CommandPolicy,
};

/// After `not_after` the agent cannot begin any more; its word may still be on its way for this long.
pub const ANSWER_SLACK_MS: i64 = 60_000;

/// Why the server gave a command up: nobody approved it, nobody answered, or nobody told the end.
pub const UNANSWERED: [&str; 3] =
    ["nobody approved it in time", "no answer in time", "begun, and never told how it ended"];

/// Kinds of peripherals that hold money or cards: disruptive actions always need a second person.
pub const MONEY_AND_CARD_KINDS: &[&str] = &[
    "bill_acceptor",
    "bill_recycler",
    "bill_dispenser",
    "coin_acceptor",
    "hopper",
    "card_unit",
    "card_reader",
];

/// Whether a second person must agree.
#[must_use]
pub fn needs_approval(action: Action, peripheral_kind: Option<&str>, policy: &CommandPolicy) -> bool {
    let money = peripheral_kind.is_some_and(|kind| MONEY_AND_CARD_KINDS.contains(&kind));
    action.class() == ActionClass::Disruptive && (policy.approve_disruptive || money)
}

/// The longest time a command may stay valid.
#[must_use]
pub fn window_ms(action: Action, asked: Option<i64>, policy: &CommandPolicy) -> i64 {
    let limit = action.max_window_ms().unwrap_or(i64::MAX);
    asked.unwrap_or(policy.window_ms).clamp(1_000, policy.window_ms.max(1_000)).min(limit)
}

/// The state an agent's word leads to; `None`: the word changes nothing (it is late or repeated).
#[must_use]
pub const fn after_word(state: CommandState, word: CommandOutcome) -> Option<CommandState> {
    if state.is_final() && !may_be_corrected(state) {
        return None;
    }
    let next = match word {
        CommandOutcome::Accepted => CommandState::Accepted,
        CommandOutcome::Refused => CommandState::Refused,
        CommandOutcome::Deferred => CommandState::Deferred,
        CommandOutcome::Started => CommandState::Started,
        CommandOutcome::Succeeded => CommandState::Succeeded,
        CommandOutcome::Failed => CommandState::Failed,
        CommandOutcome::Expired => CommandState::Expired,
        CommandOutcome::Unknown => CommandState::Unknown,
    };
    match (state, word) {
        (CommandState::Refused, CommandOutcome::Refused) => None,
        // A refusal is corrected by whatever the true envelope led to; a guess only by an end.
        (CommandState::Refused, _) => Some(next),
        _ if state.is_final() && !word.is_final() => None,
        _ => Some(next),
    }
}

/// Whether a later word of the agent may still change an end. `Expired` and `Unknown` of ours are guesses
/// from silence. A refusal names an id that a forged envelope may only claim: the true one still runs.
#[must_use]
pub const fn may_be_corrected(state: CommandState) -> bool {
    matches!(state, CommandState::Expired | CommandState::Unknown | CommandState::Refused)
}

/// What the sweep does with a command that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Sign it with a new counter and publish it again.
    SendAgain,
    /// Nobody answered in time.
    Expire,
    /// It was begun and never finished.
    GiveUp,
    /// Nothing more is expected.
    Forget,
}

/// What is due at `now`; `None`: nothing yet.
#[must_use]
pub fn overdue(row: &CommandRow, policy: &CommandPolicy, now: Timestamp) -> Option<Overdue> {
    next_look(row, policy).filter(|&at| at <= now)?;
    let over = row.not_after <= now;
    Some(match row.state {
        CommandState::AwaitingApproval => Overdue::Expire,
        CommandState::Queued | CommandState::Sent if !over => Overdue::SendAgain,
        CommandState::Sent if now < row.not_after.plus_ms(ANSWER_SLACK_MS) => return None,
        CommandState::Queued | CommandState::Sent => Overdue::Expire,
        CommandState::Accepted | CommandState::Deferred | CommandState::Started => Overdue::GiveUp,
        _ => Overdue::Forget,
    })
}

/// When the sweep must look; `None`: never again.
#[must_use]
pub fn next_look(row: &CommandRow, policy: &CommandPolicy) -> Option<Timestamp> {
    let give_up = row.not_after.plus_ms(policy.answer_grace_ms);
    match row.state {
        CommandState::AwaitingApproval => Some(row.not_after),
        CommandState::Queued => {
            Some(row.sent_at.unwrap_or(row.requested_at).plus_ms(policy.resend_ms).min(row.not_after))
        }
        CommandState::Sent => {
            let again = row.sent_at.unwrap_or(row.requested_at).plus_ms(policy.resend_ms);
            Some(if again < row.not_after { again } else { row.not_after.plus_ms(ANSWER_SLACK_MS) })
        }
        CommandState::Accepted | CommandState::Deferred | CommandState::Started => Some(give_up),
        // The agent's word may still correct it.
        state if may_be_corrected(state) => Some(give_up.plus_ms(policy.answer_grace_ms)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
