//! Doing what the engine asks: one match, and nothing decided here.
use kioskwatch_agent_core::effect::{Draft, Effect, LocalRefusal, PersistCommand};
use kioskwatch_proto::topic::Channel;
use tokio::sync::oneshot;

use super::{
    agent::{Agent, Hanging, Message},
    tell,
};
use crate::{
    journal::{CommandRow, Op},
    local_api::{Answer, HoldEvent},
};

/// What of one step goes to the journal, as one request.
#[derive(Default)]
struct ToKeep {
    ops: Vec<Op>,
    hanging: Hanging,
    records: bool,
    refused: Option<LocalRefusal>,
}

impl Agent {
    /// Does everything that follows from one input. `answer` belongs to a local request.
    pub(super) fn perform(&mut self, effects: Vec<Effect>, answer: Option<oneshot::Sender<Answer>>) {
        let mut keep = ToKeep::default();
        for effect in effects {
            self.perform_one(effect, &mut keep);
        }
        if let Some(answer) = answer {
            match keep.refused {
                Some(refusal) => drop(answer.send(Answer::Refused(refusal))),
                // Accepted means on disk.
                None if keep.records => keep.hanging.answer = Some(answer),
                None => drop(answer.send(Answer::Done)),
            }
        }
        if !keep.records {
            // They tell of nothing that must be on disk first, and a full one must not hold them back.
            self.send(std::mem::take(&mut keep.hanging.messages));
        }
        if !keep.ops.is_empty() {
            self.keep(keep.ops, keep.hanging);
        }
    }

    /// What the engine wants published. Not connected is no error: the next connection begins anew.
    pub(super) fn send(&self, messages: Vec<Message>) {
        for message in messages {
            match message {
                Message::Heartbeat(draft) => {
                    self.publish(Channel::Heartbeat, &draft.complete(self.journal_head()));
                }
                Message::Inventory => {
                    let epoch = self.journal.head().borrow().epoch;
                    self.publish_inventory(epoch);
                }
                Message::Progress(progress) => {
                    self.publish(Channel::Progress, &progress);
                }
            }
        }
    }

    fn perform_one(&mut self, effect: Effect, keep: &mut ToKeep) {
        match effect {
            Effect::Record(draft) => keep.record(draft),
            Effect::PersistCommand(persist) => keep.command(persist),
            Effect::Remember(snapshot) => match serde_json::to_string(&snapshot) {
                Ok(text) => keep.ops.push(Op::Remember(text)),
                Err(error) => tracing::error!(%error, "the state cannot be remembered"),
            },
            Effect::CommandsKnownSince(at) => keep.ops.push(Op::CommandsKnownSince(at)),
            Effect::Tick { until } => keep.ops.push(Op::Tick { boot: self.boot, at: until }),
            Effect::OpenPort { peripheral } => {
                if let Some(port) = self.ports.get(&peripheral) {
                    port.open();
                }
            }
            Effect::ClosePort { peripheral, reason } => {
                tracing::info!(%peripheral, ?reason, "closing the port");
                if let Some(port) = self.ports.get(&peripheral) {
                    port.close();
                }
            }
            Effect::Transmit { peripheral, bytes } => {
                if let Some(port) = self.ports.get(&peripheral) {
                    port.write(bytes);
                }
            }
            Effect::Heartbeat(draft) => keep.hanging.messages.push(Message::Heartbeat(draft)),
            Effect::InventoryChanged => keep.hanging.messages.push(Message::Inventory),
            Effect::Progress(progress) => keep.hanging.messages.push(Message::Progress(progress)),
            Effect::HoldRequest(request) => {
                tracing::info!(
                    request = request.request,
                    action = request.action,
                    "asking the application to hold"
                );
                self.holds.push(request.clone());
                self.tell_application(HoldEvent::Ask(request));
            }
            Effect::HoldOver { request } => {
                self.holds.retain(|open| open.request != request);
                self.tell_application(HoldEvent::Over { request });
            }
            Effect::Refused(refusal) => keep.refused = Some(refusal),
            Effect::Note(note) => tell::note(&note),
            Effect::Stop(reason) => {
                tracing::info!(%reason, "everything is said");
                keep.ops.push(Op::Clean);
                self.stopping = true;
            }
        }
    }

    fn tell_application(&self, event: HoldEvent) {
        if let Some(api) = &self.api {
            api.tell(event);
        }
    }
}

impl ToKeep {
    fn record(&mut self, draft: Draft) {
        tell::record(&draft.body);
        self.records = true;
        self.ops.push(Op::Record(draft));
    }

    fn command(&mut self, persist: PersistCommand) {
        let PersistCommand { token, counter, entry, forget, records } = persist;
        self.ops.push(Op::Counter(counter));
        if let Some(entry) = entry {
            match serde_json::to_string(&entry) {
                Ok(state) => self.ops.push(Op::Command(CommandRow {
                    id: entry.command.id,
                    counter: entry.command.counter,
                    not_after: entry.command.not_after,
                    state,
                })),
                Err(error) => tracing::error!(%error, "a command cannot be remembered"),
            }
        }
        self.ops.extend(forget.into_iter().map(Op::Forget));
        for draft in records {
            self.record(draft);
        }
        self.hanging.tokens.push(token);
    }
}
