//! Appointments: the three times T3 may be written, and what each does to the promise (SR-060 to SR-066).
//!
//! The customer may move the arrival deadline, if they say so before it has passed. Our own reasons move
//! the appointment only: neither the deadline nor the promise we are measured by.

use super::clock::{Clock, SlaError};

/// How often T3 may be written.
pub const MAX_WRITES: usize = 3;

/// Who wants the other time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromiseReason {
    Customer,
    /// Anything of ours: parts, engineer, traffic.
    Company,
}

/// One attempt to write an appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromiseWrite {
    pub at: i64,
    pub value: i64,
    pub reason: Option<PromiseReason>,
}

/// Why a write was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("T3 may be written three times only")]
    NoSlotLeft,
    #[error("promise lies in the past")]
    InThePast,
    #[error("reason required from T32 on")]
    ReasonRequired,
}

/// Deadline and promise after all writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The first accepted write stands for the first contact (C14).
    pub contacted_at: Option<i64>,
    /// By the contract; `None` while a pause is open.
    pub sla_arrive_due: Option<i64>,
    /// The same, moved by the customer.
    pub arrive_due: Option<i64>,
    /// The appointment as it stands.
    pub promise_due: Option<i64>,
    /// The appointment we are measured by.
    pub kpi_promise: Option<i64>,
    /// What became of each write, in order: its slot (1 to 3) or why it was refused.
    pub writes: Vec<Result<usize, Refusal>>,
    pub provisional: bool,
}

impl Promise {
    /// Whether an arrival was within the deadline; without a deadline nothing is late.
    #[must_use]
    pub fn is_on_time(&self, arrived: i64) -> bool {
        self.arrive_due.is_none_or(|due| arrived <= due)
    }

    /// Whether an arrival kept the promise; `None` when nothing was promised.
    #[must_use]
    pub fn is_kept(&self, arrived: i64) -> Option<bool> {
        self.kpi_promise.map(|promised| arrived <= promised)
    }

    fn check(&self, write: &PromiseWrite) -> Result<usize, Refusal> {
        let used = self.writes.iter().flatten().count();
        if used >= MAX_WRITES {
            Err(Refusal::NoSlotLeft)
        } else if write.value < write.at {
            Err(Refusal::InThePast)
        } else if used > 0 && write.reason.is_none() {
            Err(Refusal::ReasonRequired)
        } else {
            Ok(used + 1)
        }
    }

    fn accept(&mut self, write: &PromiseWrite) {
        self.promise_due = Some(write.value);
        if self.contacted_at.is_none() {
            self.contacted_at = Some(write.at);
            self.kpi_promise = Some(write.value);
        }
        if write.reason == Some(PromiseReason::Customer) {
            // An earlier wish binds us as much as a later one frees us (C02), but only before the miss.
            let wish = |due: i64| if write.at <= due { write.value } else { due };
            self.arrive_due = self.arrive_due.map(wish);
            self.kpi_promise = self.kpi_promise.map(wish);
        }
    }
}

/// Plays the writes, in order of time, against an arrival clock that started at `reported_at` (T1).
///
/// # Errors
/// As [`Clock::walk`].
pub fn arrival(
    clock: &Clock<'_>,
    reported_at: i64,
    arrive_budget_s: i64,
    writes: &[PromiseWrite],
) -> Result<Promise, SlaError> {
    let due = clock.walk(reported_at, arrive_budget_s)?;
    let mut promise = Promise {
        contacted_at: None,
        sla_arrive_due: due.value,
        arrive_due: due.value,
        promise_due: None,
        kpi_promise: None,
        writes: Vec::with_capacity(writes.len()),
        provisional: due.provisional,
    };
    for write in writes {
        let checked = promise.check(write);
        if checked.is_ok() {
            promise.accept(write);
        }
        promise.writes.push(checked);
    }
    Ok(promise)
}
