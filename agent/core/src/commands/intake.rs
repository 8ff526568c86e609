//! From a message to a command that waits, or to a refusal with its reason.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kioskwatch_proto::{
    CommandId,
    command::{Command, Envelope},
    journal::CommandOutcome,
    limits::MAX_PAYLOAD_BYTES,
};
use serde_json::json;

use super::{After, Commands, MAX_KEPT, MAX_WAITING, Site, Waiting, result_of};
use crate::{
    effect::{Effect, Note},
    job::Job,
    refusal::Refusal,
};

/// Recorded refusals of envelopes that prove nothing: a hostile broker must not fill the journal.
const MAX_RECORDED_FORGERIES: usize = 10;
const FORGERY_WINDOW_MS: u64 = 60_000;

impl Commands {
    /// One message on `command`.
    pub(crate) fn receive(&mut self, payload: &[u8], site: &mut Site<'_>) {
        let envelope = (payload.len() <= MAX_PAYLOAD_BYTES)
            .then(|| serde_json::from_slice::<Envelope>(payload).ok())
            .flatten();
        let Some(envelope) = envelope else {
            site.effects.push(Effect::Note(Note::CommandUnreadable));
            return;
        };
        match envelope.open(&self.keys) {
            Ok(command) => self.verified(command, site),
            Err(error) => self.unproven(peek(&envelope), error.into(), site),
        }
    }

    pub(super) fn verified(&mut self, command: Command, site: &mut Site<'_>) {
        if command.kiosk != self.kiosk {
            self.unproven(Some(command.id), Refusal::OtherKiosk, site);
            return;
        }
        let known = self.kept.get(&command.id);
        if command.counter <= self.counter {
            if known.is_some() {
                site.effects.push(Effect::Note(Note::CommandRepeated { command: command.id }));
            } else {
                self.unproven(Some(command.id), Refusal::CounterNotAbove, site);
            }
            return;
        }
        self.counter = command.counter;
        site.time.proven(command.issued_at, site.now.mono);
        if let Some(known) = known {
            // It was not heard the first time: tell again how it stands, do nothing.
            let again = known.last.clone();
            self.persist(None, again, After::Told(command.id), site);
            return;
        }
        match self.judge(&command, site) {
            Ok(job) => {
                let id = command.id;
                self.waiting.push(Waiting::new(command.clone(), job, site.trusted(), site));
                self.remember(command, result_of(id, CommandOutcome::Accepted), After::Accepted(id), site);
            }
            Err(refusal) => self.refuse(command, refusal, site),
        }
    }

    pub(super) fn judge(&self, command: &Command, site: &Site<'_>) -> Result<Job, Refusal> {
        let now = site.trusted();
        if now > command.not_after {
            return Err(Refusal::TooLate);
        }
        if self.memory.may_have_lost(command, site.time, site.now) {
            return Err(Refusal::MemoryLost);
        }
        if command.not_before.since(now) > site.time.slack_ms() {
            return Err(Refusal::TooEarly);
        }
        let job = Job::plan(command, site.peripherals)?;
        if let Some(longest) = job.action.max_window_ms() {
            let signed = command.not_after.since(command.issued_at.min(command.not_before));
            // By our own clock too, which may be behind the server's by what we allow.
            if signed > longest || command.not_after.since(now) > longest + site.time.slack_ms() {
                return Err(Refusal::WindowTooLong);
            }
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(Refusal::QueueFull);
        }
        if self.kept.len() >= MAX_KEPT {
            return Err(Refusal::MemoryFull);
        }
        Ok(job)
    }

    /// An envelope that moves nothing of ours: told, unless too many come or the id is one we carry.
    ///
    /// The contract wants these refusals told, and their id is all that names them. Without a good signature
    /// anybody can have written it, so the record says `proven: false`: it is no word on the command that
    /// really has this id, and that one still runs.
    pub(super) fn unproven(&mut self, id: Option<CommandId>, refusal: Refusal, site: &mut Site<'_>) {
        let now = site.now.mono;
        self.forgeries.retain(|at| at + FORGERY_WINDOW_MS > now);
        match id.filter(|id| !self.kept.contains_key(id)) {
            Some(id) if self.forgeries.len() < MAX_RECORDED_FORGERIES => {
                self.forgeries.push(now);
                let mut result = result_of(id, CommandOutcome::Refused);
                result.reason = Some(refusal.code().to_owned());
                let proven = !matches!(refusal, Refusal::UnknownKey | Refusal::BadSignature);
                result.result = Some(json!({"counter": self.counter, "proven": proven}));
                let draft = site.draft(result);
                site.effects.push(Effect::Record(draft));
            }
            _ => site.effects.push(Effect::Note(Note::ForgeryFlood)),
        }
    }
}

/// The id an envelope claims to carry, unproven.
fn peek(envelope: &Envelope) -> Option<CommandId> {
    let payload = URL_SAFE_NO_PAD.decode(&envelope.payload).ok()?;
    serde_json::from_slice::<Command>(&payload).ok().map(|c| c.id)
}
