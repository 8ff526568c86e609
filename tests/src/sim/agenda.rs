//! What is to happen, by time; at one instant in the order in which it was planned.
use std::{cmp::Reverse, collections::BinaryHeap};

/// The heap moves keys alone: an event can be as large as a message.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    heap: BinaryHeap<Reverse<(i64, u64, usize)>>,
    planned: u64,
    events: Vec<Option<E>>,
    free: Vec<usize>,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0, events: Vec::new(), free: Vec::new() }
    }
}

impl<E> Agenda<E> {
    pub(super) fn add(&mut self, at: i64, event: E) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[slot] = Some(event);
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, slot)));
    }

    /// The earliest, with its time.
    pub(super) fn next(&mut self) -> Option<(i64, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.events[slot].take().map(|event| (at, event))
    }
}
