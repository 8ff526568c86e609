//! Where the rows of an SQLite file stand in it. <https://www.sqlite.org/fileformat.html>
use std::ops::Range;

use crate::damage::PAGE;

/// What of a page follows its number of kind.
const LEAF: [u8; 2] = [0x0d, 0x0a];
/// A longer row goes on in pages of its own, and is left alone.
const LONGEST: usize = PAGE / 4;

/// The bytes of every row of the table whose tree begins at this page: what says how they are to be read, and the
/// values.
pub(super) fn rows_of(file: &[u8], root: usize) -> Vec<Range<usize>> {
    let start = (root - 1) * PAGE;
    let page = &file[start..start + PAGE];
    // The first page begins with the header of the file.
    let head = if root == 1 { 100 } else { 0 };
    let kind = page[head];
    let count = short(page, head + 3);
    let is_leaf = LEAF.contains(&kind);
    let pointers = head + if is_leaf { 8 } else { 12 };
    let cells = (0..count).map(|n| short(page, pointers + 2 * n));
    if !is_leaf {
        let children = cells.map(|cell| long(page, cell)).chain([long(page, head + 8)]);
        return children.flat_map(|child| rows_of(file, child)).collect();
    }
    let row = |cell: usize| {
        let (length, mut at) = varint(page, cell);
        // A table without row numbers has none here.
        if kind == LEAF[0] {
            at = varint(page, at).1;
        }
        (length <= LONGEST).then(|| start + at..start + at + length)
    };
    cells.filter_map(row).collect()
}

fn short(page: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([page[at], page[at + 1]]))
}

fn long(page: &[u8], at: usize) -> usize {
    short(page, at) << 16 | short(page, at + 2)
}

/// The number, and where it ends.
fn varint(page: &[u8], at: usize) -> (usize, usize) {
    let mut value = 0;
    for n in 0..8 {
        value = value << 7 | usize::from(page[at + n] & 0x7f);
        if page[at + n] < 0x80 {
            return (value, at + n + 1);
        }
    }
    (value << 8 | usize::from(page[at + 8]), at + 9)
}
