//! Short pieces of bytes of a whole fleet, one a kiosk, by its place in the fleet.
//!
//! Some neighbours stand together in one piece of memory: by itself each would take another 24 bytes or more, for where
//! it stands and for the heap's own books.
use crate::metrics::seconds::{read, write};

/// Neighbours that stand together. More of them would make each change dearer and save little.
const TOGETHER: usize = 16;
/// Groups take memory in steps of this: what one of them leaves is right for another, and most changes need none.
const STEP: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Of each neighbour how many bytes it has, and those; then zeros.
    groups: Vec<Box<[u8]>>,
}

impl Pieces {
    /// Empty: nothing was put there.
    pub(super) fn get(&self, place: usize) -> &[u8] {
        let group = self.groups.get(place / TOGETHER);
        group.and_then(|group| pieces(group).nth(place % TOGETHER)).unwrap_or_default()
    }

    pub(super) fn put(&mut self, place: usize, piece: &[u8]) {
        let (group, place) = (place / TOGETHER, place % TOGETHER);
        if group >= self.groups.len() {
            self.groups.resize_with(group + 1, Box::default);
        }
        let group = &mut self.groups[group];
        let mut bytes = Vec::new();
        let missing = std::iter::repeat(&[][..]);
        for (neighbour, known) in pieces(group).chain(missing).take(TOGETHER).enumerate() {
            let piece = if neighbour == place { piece } else { known };
            write(&mut bytes, i64::try_from(piece.len()).unwrap_or(i64::MAX));
            bytes.extend_from_slice(piece);
        }
        bytes.resize(bytes.len().next_multiple_of(STEP), 0);
        if group.len() == bytes.len() {
            group.copy_from_slice(&bytes);
        } else {
            // Not `bytes` itself: a piece cut off for each group leaves holes.
            *group = bytes.as_slice().into();
        }
    }

    /// In order; also the empty ones between others.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.groups.iter().flat_map(|group| {
            let missing = if group.is_empty() { TOGETHER } else { 0 };
            pieces(group).take(TOGETHER).chain(std::iter::repeat_n(&[][..], missing))
        })
    }
}

fn pieces(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::try_from(read(&mut rest)?).ok()?;
        let (piece, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_what_was_put_there_last_whatever_its_neighbours_are() {
        let mut pieces = Pieces::default();
        let text = |place: usize, round: usize| vec![place as u8; (place * 7 + round * 40) % 200];
        let last = 5 * TOGETHER + 3;
        // A group in between has nobody.
        let mut places: Vec<usize> = (0..=last).filter(|place| place / TOGETHER != 2).collect();
        for round in 0..3 {
            places.reverse();
            for &place in &places {
                pieces.put(place, &text(place, round));
            }
        }
        for place in 0..last + 2 * TOGETHER {
            let expected = if places.contains(&place) { text(place, 2) } else { Vec::new() };
            assert_eq!(pieces.get(place), expected, "{place}");
        }
        let all: Vec<&[u8]> = pieces.iter().collect();
        assert_eq!(all.len(), 6 * TOGETHER);
        assert!(all.iter().enumerate().all(|(place, piece)| *piece == pieces.get(place)));
    }
}
