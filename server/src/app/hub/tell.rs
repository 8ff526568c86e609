//! What became true is counted, and told: to pages, to kiosks, to whoever asked.
use std::collections::HashMap;

use kioskwatch_domain::{
    change::{Change, TicketRow, TicketState},
    fleet::{Committed, Count, Effect, Input, Plan},
};
use kioskwatch_proto::{
    KioskId, Timestamp,
    topic::{Channel, Topic},
};
use uuid::Uuid;

use super::{Hub, turn::Replies};
use crate::{
    app::{RequestError, live::LiveEvent},
    panics::caught_at_once,
};

impl Hub {
    /// What is committed is true, whoever cannot be told of it for a defect of ours.
    pub(super) fn told_of(&self, plan: &Plan, inputs: &[Input]) -> Vec<LiveEvent> {
        let told = || {
            self.observe(plan, inputs);
            self.announce(plan)
        };
        caught_at_once(told).unwrap_or_else(|panic| {
            tracing::error!(panic, "telling of a commit panicked: a defect of ours; pages do not hear of it");
            self.app.counters().panicked("decision");
            Vec::new()
        })
    }

    /// What open pages will hear when the plan is true; read before it is adopted.
    fn announce(&self, plan: &Plan) -> Vec<LiveEvent> {
        if plan.is_empty() {
            return Vec::new();
        }
        let fleet = self.app.fleet();
        plan.changes.iter().filter_map(|change| LiveEvent::of(change, &*fleet)).collect()
    }

    /// Counts what the committed changes mean for people.
    fn observe(&self, plan: &Plan, inputs: &[Input]) {
        let counters = self.app.counters();
        let now = self.app.clock().now();
        let tickets: HashMap<Uuid, &TicketRow> = plan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Ticket(row) => Some((row.id, &**row)),
                _ => None,
            })
            .collect();
        for change in &plan.changes {
            match change {
                Change::TicketEvent(event) => {
                    let Some(ticket) = tickets.get(&event.ticket) else { continue };
                    if event.n == 1 {
                        counters.ticket_opened(ticket.source.as_str(), ticket.class.as_str());
                        if let Some(received_at) = fault_received(inputs, ticket.kiosk.as_ref()) {
                            counters.fault_to_ticket(seconds_between(received_at, now));
                        }
                    }
                    if event.from == Some(event.to) {
                        continue;
                    }
                    match event.to {
                        TicketState::Resolved => {
                            let restored = ticket.t5.unwrap_or(event.at);
                            counters.stage_left("to_restored", seconds_between(ticket.t1, restored));
                        }
                        TicketState::Closed => {
                            let restored = ticket.t5.unwrap_or(ticket.t1);
                            counters.stage_left("to_closed", seconds_between(restored, event.at));
                        }
                        _ => {}
                    }
                }
                Change::Command(command) => counters.command(&command.action, command.state.as_str()),
                _ => {}
            }
        }
    }

    /// After the commit: answers, acknowledgements, effects, counts.
    pub(super) fn tell(&self, inputs: &[Input], committed: Committed, replies: &mut Replies) {
        let now = self.app.clock().now();
        let counters = self.app.counters();
        for (index, answer) in committed.replies {
            if let Some(asker) = replies.remove(&index) {
                asker.answer(answer.map_err(RequestError::Refused));
            }
        }
        for (kiosk, ack) in committed.acks {
            let payload =
                serde_json::to_vec(&ack.within_limits()).expect("an ack has text keys and whole numbers");
            // Lost on a full queue or a lost connection: the agent sends again and is acknowledged again.
            self.journal_link.publish(&Topic::new(kiosk, Channel::Ack), payload, None);
        }
        for effect in committed.effects {
            self.perform(effect, now);
        }
        for input in inputs {
            if let Some(received_at) = received_at(input) {
                counters.ingested(seconds_between(received_at, now));
            }
        }
        for (count, times) in committed.counts {
            self.count(count, times);
        }
    }

    fn perform(&self, effect: Effect, now: Timestamp) {
        match effect {
            Effect::Publish(command) => {
                let left_ms = command.not_after.since(now).max(1_000);
                let expiry_s = u32::try_from(left_ms / 1_000).unwrap_or(u32::MAX);
                let envelope = self.app.signer().sign(&command);
                let payload = serde_json::to_vec(&envelope).expect("an envelope is all text");
                let kiosk = command.kiosk.clone();
                tracing::info!(%kiosk, command = %command.id, action = command.action, "command sent");
                self.journal_link.publish(&Topic::new(kiosk, Channel::Command), payload, Some(expiry_s));
            }
            Effect::Notify(notice) => {
                let kiosk = notice.kiosk.as_ref().map(KioskId::as_str);
                tracing::info!(kind = notice.kind.as_str(), kiosk, "{}", notice.text);
                // The log is the only channel so far, and may be set to leave it out.
                let written = tracing::enabled!(tracing::Level::INFO);
                let outcome = if written { "written" } else { "left_out" };
                self.app.counters().notification("log", outcome);
            }
        }
    }

    fn count(&self, count: Count, times: u64) {
        let counters = self.app.counters();
        let (group, word) = count.words();
        match count {
            Count::Message(_) => counters.messages("other", word, times),
            Count::Record(_) => counters.messages("journal_record", word, times),
            Count::Suppressed(_) | Count::Held(_) => (0..times).for_each(|_| counters.suppressed(word)),
            Count::Security(_) => (0..times).for_each(|_| counters.security(word)),
            Count::ClockBreached(_) => (0..times).for_each(|_| counters.clock_breached(word)),
            _ => tracing::debug!(group, word, times, "counted"),
        }
    }
}

/// When the journal message of a kiosk in this turn arrived, if it was one that made the ticket.
fn fault_received(inputs: &[Input], kiosk: Option<&KioskId>) -> Option<Timestamp> {
    inputs.iter().find_map(|input| match input {
        Input::Batch { kiosk: sender, received_at, .. } if Some(sender) == kiosk => Some(*received_at),
        _ => None,
    })
}

fn received_at(input: &Input) -> Option<Timestamp> {
    match input {
        Input::Presence { received_at, .. }
        | Input::Inventory { received_at, .. }
        | Input::Heartbeat { received_at, .. }
        | Input::Batch { received_at, .. }
        | Input::Progress { received_at, .. } => Some(*received_at),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration for a histogram")]
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).max(0) as f64 / 1_000.0
}
