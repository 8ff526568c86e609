//! Which rows of evidence speak for one stretch of time after the other.
//!
//! A kiosk that flaps every minute has as many rows as stretches, tens of thousands a month: both are passed once, and
//! of the rows only those are kept at hand that may reach into the next stretch.
use std::{iter::Peekable, vec};

use super::evidence::Evidence;
use crate::{change::EvidenceRow, interval::Interval};

#[derive(Debug)]
pub struct Proofs<'a> {
    /// By their beginning.
    coming: Peekable<vec::IntoIter<&'a EvidenceRow>>,
    near: Vec<&'a EvidenceRow>,
}

impl<'a> Proofs<'a> {
    #[must_use]
    pub fn new(rows: &'a [EvidenceRow]) -> Self {
        let mut rows: Vec<&EvidenceRow> = rows.iter().collect();
        rows.sort_by_key(|row| row.from);
        Self { coming: rows.into_iter().peekable(), near: Vec::new() }
    }

    /// Those that reach into a stretch, by their beginning. Each stretch begins where the one before ended, or later.
    pub fn of(&mut self, span: Interval) -> &[&'a EvidenceRow] {
        self.near.retain(|row| reaches_beyond(row, span.from));
        while let Some(row) = self.coming.next_if(|row| row.from.secs() < span.to) {
            if reaches_beyond(row, span.from) {
                self.near.push(row);
            }
        }
        &self.near
    }
}

/// Nothing is proved of what came after it was said.
fn reaches_beyond(row: &EvidenceRow, second: i64) -> bool {
    Evidence::from(row).proven_to() > second
}

#[cfg(test)]
mod tests {
    use kioskwatch_proto::Timestamp;

    use super::*;
    use crate::change::{EvidenceSource, EvidenceState};

    fn row(from: i64, to: i64) -> EvidenceRow {
        EvidenceRow {
            kiosk: "K-1".parse().unwrap(),
            source: EvidenceSource::Journal,
            from: Timestamp(from * 1_000),
            to: Timestamp(to * 1_000),
            state: EvidenceState::Full,
            cause: None,
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: None,
        }
    }

    fn spans(proofs: &mut Proofs<'_>, from: i64, to: i64) -> Vec<(i64, i64)> {
        let rows = proofs.of(Interval::new(from, to));
        rows.iter().map(|row| (row.from.secs(), row.to.secs())).collect()
    }

    #[test]
    fn a_stretch_is_proved_by_every_row_that_reaches_into_it_and_by_no_other() {
        let late = EvidenceRow { received_at: Some(Timestamp(45_000)), ..row(40, 90) };
        let rows = [row(30, 40), row(0, 100), row(10, 20), late];
        let mut proofs = Proofs::new(&rows);
        assert_eq!(spans(&mut proofs, 0, 10), [(0, 100)]);
        assert_eq!(spans(&mut proofs, 10, 15), [(0, 100), (10, 20)]);
        assert_eq!(spans(&mut proofs, 15, 31), [(0, 100), (10, 20), (30, 40)]);
        assert_eq!(spans(&mut proofs, 41, 45), [(0, 100), (40, 90)]);
        assert_eq!(spans(&mut proofs, 45, 60), [(0, 100)], "not of what came after it had arrived");
        assert_eq!(spans(&mut proofs, 100, 200), []);
    }

    #[test]
    fn however_many_rows_there_are_only_those_beside_a_stretch_are_looked_at() {
        let rows: Vec<EvidenceRow> = (0..44_640).map(|n| row(n * 60, (n + 1) * 60)).collect();
        let mut proofs = Proofs::new(&rows);
        for n in 0..44_640 {
            assert_eq!(proofs.of(Interval::new(n * 60, (n + 1) * 60)).len(), 1);
            assert!(proofs.near.len() + proofs.coming.len() <= 44_640 - usize::try_from(n).unwrap());
        }
        // What lies before the first stretch, or between two, is not gathered either.
        let mut proofs = Proofs::new(&rows);
        proofs.of(Interval::new(44_639 * 60, 44_640 * 60));
        assert_eq!(proofs.near.len(), 1);
    }
}
