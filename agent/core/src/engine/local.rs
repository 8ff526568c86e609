//! What the kiosk application says.
use kioskwatch_proto::{
    journal::{Body, Transaction},
    local::Busy,
};

use super::{Engine, MAX_LABEL_CHARS};
use crate::{
    application::BUSY_VALID_S,
    condition::cut_text,
    effect::{Effect, LocalRefusal},
    input::Local,
    peripheral::Outputs,
};

impl Engine {
    pub(super) fn local(&mut self, local: Local, out: &mut Vec<Effect>) -> Result<(), LocalRefusal> {
        match local {
            Local::Peripheral { name, state } => self.ask(&name, out, |p, at, o| p.pushed(state, at, o)),
            Local::Service(service) => {
                self.application.says(service);
                Ok(())
            }
            Local::Busy(busy @ Busy { valid_for_s, .. }) => {
                if !BUSY_VALID_S.contains(&valid_for_s) {
                    return Err(LocalRefusal::OutOfRange);
                }
                self.application.facts(busy, self.now.mono);
                Ok(())
            }
            Local::Transaction(t) => {
                let short = |text: &str| !text.is_empty() && text.chars().count() <= MAX_LABEL_CHARS;
                if !short(&t.id) || !short(&t.kind) {
                    return Err(LocalRefusal::OutOfRange);
                }
                let (id, kind) = (cut_text(&t.id), cut_text(&t.kind));
                let transaction = Transaction { id, kind, outcome: t.outcome, duration_ms: t.duration_ms };
                self.record(Body::Transaction(transaction), out);
                Ok(())
            }
            Local::Grant { request, grant } => self.commands.grant(&request, grant, self.now.mono),
            Local::Lease { lease, request } => {
                let name = request.peripheral.clone();
                self.ask(&name, out, |p, at, o| p.lease(lease, &request, at, o))
            }
            Local::EndLease { lease } => self.end_lease(&lease, out),
        }
    }

    pub(super) fn end_lease(&mut self, lease: &str, out: &mut Vec<Effect>) -> Result<(), LocalRefusal> {
        for index in 0..self.peripherals.len() {
            let mut outputs = Outputs::default();
            if self.peripherals[index].end_lease(lease, &mut outputs) {
                self.hear(index, outputs, out);
                return Ok(());
            }
        }
        Err(LocalRefusal::UnknownLease)
    }
}
