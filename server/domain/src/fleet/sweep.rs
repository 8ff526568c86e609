//! The sweep: looks for everything that has become due. Twice is as good as once.
use super::{Due, Fleet, draft::Draft};

/// Due things of one sweep; the rest follows with the next one.
pub(super) const MAX_PER_SWEEP: usize = 10_000;

impl Draft<'_> {
    pub(super) fn sweep(&mut self) {
        self.sweep_silence();
        let fleet: &Fleet = self.fleet;
        for &(at, due) in fleet.due.iter().take(MAX_PER_SWEEP) {
            if at > self.now {
                break;
            }
            match due {
                Due::Incident(id) => self.look_at_incident(id),
                Due::Ticket(id) => {
                    if self.ticket(id).and_then(|file| file.row.due_at).is_some_and(|at| at <= self.now) {
                        self.look_at_ticket(id);
                    }
                }
                Due::Command(id) => self.look_at_command(id),
            }
        }
    }

    /// A held or suppressed incident whose time has come.
    fn look_at_incident(&mut self, id: uuid::Uuid) {
        let due = self.incident(id).filter(|row| row.closed_at.is_none()).and_then(|row| row.triage_due_at);
        if due.is_some_and(|at| at <= self.now) {
            self.triage(id);
        }
    }
}
