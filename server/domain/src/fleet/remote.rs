//! Commands of the fleet: made, sent, answered, given up.
use kioskwatch_proto::{
    CommandId, Timestamp,
    command::{Command, next_counter},
    journal::{CommandOutcome, CommandResult},
    limits::{MAX_NUMBER, MAX_TEXT_CHARS},
};
use serde_json::{Map, Value};

use super::{
    Ix,
    draft::Draft,
    input::{Actor, CommandRequest},
    plan::{Answer, Effect, Refusal, RefusalKind},
};
use crate::{
    change::{Change, CommandEventRow, CommandRow, CommandState, PresenceVerdict},
    command::{self, Overdue},
};

impl Draft<'_> {
    pub(super) fn request_command(
        &mut self,
        actor: &Actor,
        asked: &CommandRequest,
    ) -> Result<Answer, Refusal> {
        let missing = || Refusal::new(RefusalKind::NotFound, "kiosk", "no such kiosk");
        let ix = self.find(&asked.kiosk).ok_or_else(missing)?;
        let kiosk = self.kiosk(ix);
        if !kiosk.in_service(self.now) {
            return Err(Refusal::new(RefusalKind::Conflict, "D6", "the kiosk is not in service"));
        }
        let open =
            kiosk.busy().commands.iter().filter(|&&id| self.command(id).is_some_and(|c| !c.state.is_final()));
        if open.count() >= self.policy.commands.max_open_per_kiosk {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "D10",
                "too many commands of this kiosk are open",
            ));
        }
        if let Some(profile) = &kiosk.state.profile
            && !profile.actions.iter().any(|action| action == asked.action.as_str())
        {
            let reason = format!("the agent does not offer {}", asked.action);
            return Err(Refusal::new(RefusalKind::Conflict, "D6", reason));
        }
        if let Some(refusal) = self.has_no_such_peripheral(ix, &asked.args) {
            return Err(refusal);
        }
        let kind = self.target_kind(ix, &asked.args);
        let policy = &self.policy.commands;
        let approval = command::needs_approval(asked.action, kind.as_deref(), policy);
        let window = command::window_ms(asked.action, asked.valid_for_ms, policy);
        let id = CommandId(self.ids.uuid(self.now));
        let row = CommandRow {
            id,
            kiosk: asked.kiosk.clone(),
            action: asked.action.as_str().to_owned(),
            args: Value::Object(asked.args.clone()).to_string(),
            actor: actor.name.clone(),
            approver: None,
            ticket: asked.ticket,
            state: if approval { CommandState::AwaitingApproval } else { CommandState::Queued },
            counter: 0,
            requested_at: self.now,
            issued_at: None,
            not_after: self.now.plus_ms(window),
            sent_at: None,
            attempts: 0,
            finished_at: None,
            reason: None,
            result: None,
        };
        self.over.commands.insert(id, row);
        self.kiosk_mut(ix).busy_mut().commands.push(id);
        let detail =
            serde_json::json!({ "action": asked.action.as_str(), "command": id, "approval": approval });
        self.audit_by(&actor.name, "command_requested", format!("kiosk/{}", asked.kiosk), &detail);
        self.command_event(id, "requested", None);
        if !approval {
            self.send_or_queue(ix, id);
        }
        Ok(Answer::Command(id))
    }

    /// The agent would refuse it too, after its way there; a kiosk that never told what it has is asked.
    fn has_no_such_peripheral(&self, ix: Ix, args: &Map<String, Value>) -> Option<Refusal> {
        let name = args.get("peripheral")?.as_str()?;
        let has = &self.kiosk(ix).state.profile.as_ref()?.items;
        if has.iter().any(|item| item.name.as_str() == name) {
            return None;
        }
        let has: Vec<&str> = has.iter().map(|item| item.name.as_str()).collect();
        let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
        let reason = format!("the kiosk has no peripheral {name:?}: it has {has}");
        Some(Refusal::new(RefusalKind::Invalid, "D6", reason))
    }

    fn target_kind(&self, ix: Ix, args: &Map<String, Value>) -> Option<String> {
        let name = args.get("peripheral")?.as_str()?;
        let profile = self.kiosk(ix).state.profile.as_ref()?;
        let name = kioskwatch_proto::PeripheralName::new(name).ok()?;
        profile.kind(&name).map(str::to_owned)
    }

    pub(super) fn approve_command(&mut self, actor: &Actor, id: CommandId) -> Result<Answer, Refusal> {
        let row = self.awaiting(id)?;
        if row.actor == actor.name {
            return Err(Refusal::new(RefusalKind::Forbidden, "D6", "the requester cannot approve"));
        }
        if row.not_after <= self.now {
            return Err(Refusal::new(RefusalKind::Conflict, "D6", "the command is no longer valid"));
        }
        let kiosk = row.kiosk.clone();
        if let Some(row) = self.command_mut(id) {
            row.approver = Some(actor.name.clone());
            row.state = CommandState::Queued;
        }
        let detail = serde_json::json!({ "command": id });
        self.audit_by(&actor.name, "command_approved", format!("kiosk/{kiosk}"), &detail);
        self.command_event(id, "approved", None);
        if let Some(ix) = self.find(&kiosk) {
            self.send_or_queue(ix, id);
        }
        Ok(Answer::Done)
    }

    pub(super) fn reject_command(
        &mut self,
        actor: &Actor,
        id: CommandId,
        reason: &str,
    ) -> Result<Answer, Refusal> {
        let row = self.awaiting(id)?;
        if row.actor == actor.name {
            return Err(Refusal::new(RefusalKind::Forbidden, "D6", "the requester cancels, others reject"));
        }
        self.call_off(actor, id, "command_rejected", reason);
        Ok(Answer::Done)
    }

    /// Only what has not been sent: nobody can take back what may already have run.
    pub(super) fn cancel_command(
        &mut self,
        actor: &Actor,
        id: CommandId,
        reason: &str,
    ) -> Result<Answer, Refusal> {
        let state = self.command(id).map(|row| (row.state, row.attempts)).ok_or_else(no_command)?;
        match state {
            (CommandState::AwaitingApproval, _) | (CommandState::Queued, 0) => {
                self.call_off(actor, id, "command_cancelled", reason);
                Ok(Answer::Done)
            }
            _ => Err(Refusal::new(RefusalKind::Conflict, "D6", "the command was sent already")),
        }
    }

    fn awaiting(&self, id: CommandId) -> Result<&CommandRow, Refusal> {
        let row = self.command(id).ok_or_else(no_command)?;
        if row.state == CommandState::AwaitingApproval {
            return Ok(row);
        }
        Err(Refusal::new(RefusalKind::Conflict, "D6", "the command does not wait for approval"))
    }

    fn call_off(&mut self, actor: &Actor, id: CommandId, action: &str, reason: &str) {
        let reason: String = reason.chars().take(MAX_TEXT_CHARS).collect();
        let detail = serde_json::json!({ "command": id, "reason": reason });
        self.finish_command(id, CommandState::Cancelled, Some(reason));
        let kiosk = self.command(id).map_or_else(String::new, |row| format!("kiosk/{}", row.kiosk));
        self.audit_by(&actor.name, action, kiosk, &detail);
    }

    /// Publishes a command now, or keeps it for when the kiosk is heard.
    fn send_or_queue(&mut self, ix: Ix, id: CommandId) {
        let now = self.now;
        let reachable =
            matches!(self.kiosk(ix).state.presence, PresenceVerdict::Online | PresenceVerdict::Late);
        if !reachable {
            if let Some(row) = self.command_mut(id) {
                // The sweep looks again after the pause; a sign of life sends it at once.
                row.sent_at = Some(now);
            }
            return;
        }
        let counter = next_counter(self.kiosk(ix).state.command_counter, now);
        self.kiosk_mut(ix).state.command_counter = counter;
        let Some(row) = self.command_mut(id) else { return };
        row.counter = counter;
        row.issued_at = Some(now);
        row.sent_at = Some(now);
        row.attempts += 1;
        row.state = CommandState::Sent;
        let args = serde_json::from_str(&row.args).unwrap_or_default();
        let command = Command {
            id,
            kiosk: row.kiosk.clone(),
            counter,
            issued_at: now,
            not_before: now,
            not_after: row.not_after,
            action: row.action.clone(),
            args,
            actor: row.actor.clone(),
            approver: row.approver.clone(),
            ticket: row.ticket.map(|ticket| ticket.to_string()),
        };
        self.effects.push(Effect::Publish(Box::new(command)));
        self.command_event(id, "sent", None);
    }

    /// A kiosk is heard again: what waited for it goes out.
    pub(super) fn send_queued(&mut self, ix: Ix) {
        for id in self.kiosk(ix).busy().commands.clone() {
            let waits =
                self.command(id).is_some_and(|c| c.state == CommandState::Queued && self.now < c.not_after);
            if waits {
                self.send_or_queue(ix, id);
            }
        }
    }

    /// What the agent recorded about a command.
    pub(super) fn command_word(&mut self, ix: Ix, told: &CommandResult, at: Timestamp) {
        self.go_above(ix, told);
        let Some(row) = self.command(told.command).filter(|row| row.kiosk == self.kiosk(ix).id) else {
            return;
        };
        let Some(next) = command::after_word(row.state, told.state) else { return };
        let reason = told.reason.as_ref().map(|text| text.chars().take(MAX_TEXT_CHARS).collect::<String>());
        if let Some(row) = self.command_mut(told.command) {
            row.reason.clone_from(&reason);
            row.result = told.result.as_ref().map(ToString::to_string);
        }
        if next.is_final() {
            self.finish_command(told.command, next, reason);
            if let Some(row) = self.command_mut(told.command) {
                row.finished_at = Some(at);
            }
        } else if let Some(row) = self.command_mut(told.command) {
            row.state = next;
            row.finished_at = None;
            // Why it was put off, for the people who watch it wait.
            self.command_event(told.command, told.state.as_str(), reason);
        }
    }

    /// A refusal names the agent's counter; also one of a command that an older backup does not know.
    fn go_above(&mut self, ix: Ix, told: &CommandResult) {
        let counter = told.result.as_ref().and_then(|result| result.get("counter")?.as_u64());
        let Some(counter) = counter.filter(|_| told.state == CommandOutcome::Refused) else { return };
        // Above it must stay a number that can be sent.
        if counter < MAX_NUMBER && counter > self.kiosk(ix).state.command_counter {
            self.kiosk_mut(ix).state.command_counter = counter;
        }
    }

    fn finish_command(&mut self, id: CommandId, state: CommandState, reason: Option<String>) {
        let now = self.now;
        let Some(row) = self.command_mut(id) else { return };
        row.state = state;
        row.finished_at = Some(now);
        row.reason.clone_from(&reason);
        let (kiosk, keep) = (row.kiosk.clone(), command::may_be_corrected(state));
        self.command_event(id, state.as_str(), reason);
        if !keep && let Some(ix) = self.find(&kiosk) {
            self.kiosk_mut(ix).busy_mut().commands.retain(|&known| known != id);
        }
    }

    fn command_event(&mut self, id: CommandId, step: &str, line: Option<String>) {
        let Some(state) = self.command(id).map(|row| row.state) else { return };
        self.rows.push(Change::CommandEvent(CommandEventRow {
            command: id,
            at: self.now,
            state,
            step: step.to_owned(),
            percent: None,
            line,
        }));
    }

    /// A command that is due: sent again with a new counter and the same id, or given up.
    pub(super) fn look_at_command(&mut self, id: CommandId) {
        let Some(row) = self.command(id) else { return };
        let kiosk = row.kiosk.clone();
        let Some(ix) = self.find(&kiosk) else { return };
        match command::overdue(row, &self.policy.commands, self.now) {
            None => {}
            Some(Overdue::SendAgain) => self.send_or_queue(ix, id),
            Some(Overdue::Expire) => {
                let [no_approval, no_answer, _] = command::UNANSWERED;
                let waited = row.state == CommandState::AwaitingApproval;
                let reason = if waited { no_approval } else { no_answer };
                self.finish_command(id, CommandState::Expired, Some(reason.to_owned()));
            }
            Some(Overdue::GiveUp) => {
                let [.., no_end] = command::UNANSWERED;
                self.finish_command(id, CommandState::Unknown, Some(no_end.to_owned()));
            }
            Some(Overdue::Forget) => {
                self.over.forgotten_commands.insert(id);
                if let Some(row) = self.command(id).cloned() {
                    self.over.commands.insert(id, row);
                }
                self.kiosk_mut(ix).busy_mut().commands.retain(|&known| known != id);
            }
        }
    }
}

fn no_command() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "command", "no such open command")
}
