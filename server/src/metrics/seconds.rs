//! The seconds of one share of a period as a scrape shows them, and the few bytes in which they are kept: a hundred
//! thousand kiosks are some megabytes.
use std::ops::AddAssign;

use kioskwatch_domain::uptime::{Cause, Figures, Ratio};

/// Integers that may be added up; whoever wants a ratio divides the sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seconds {
    /// On, avail, full.
    pub ratios: [Ratio; 3],
    /// Seconds we answer for and know the state of, and those of which we know nothing.
    pub known_s: i64,
    pub unknown_s: i64,
    /// In the order of [`Cause::ALL`]; they add up to what avail lacks.
    pub down_s: [i64; Cause::ALL.len()],
    /// What of the period is still to count, by what is known now.
    pub to_come_s: i64,
}

impl Seconds {
    pub(crate) fn of(figures: &Figures) -> Self {
        Self {
            ratios: [figures.on, figures.avail, figures.full],
            known_s: figures.known_s,
            unknown_s: figures.accountable_s - figures.known_s,
            down_s: Cause::ALL.map(|cause| figures.causes.get(&cause).copied().unwrap_or(0)),
            to_come_s: 0,
        }
    }

    /// The same so many times over.
    pub(crate) fn times(mut self, n: i64) -> Self {
        let ratios = self.ratios.map(|ratio| Ratio::new(ratio.num * n, ratio.den * n));
        self.known_s *= n;
        self.unknown_s *= n;
        self.to_come_s *= n;
        Self { ratios, down_s: self.down_s.map(|seconds| seconds * n), ..self }
    }

    /// What most kiosks have in common takes one byte: nothing lost, the same seconds behind every ratio.
    pub(crate) fn pack(&self, bytes: &mut Vec<u8>) {
        let usual = self.ratios[0].den;
        write(bytes, usual);
        for ratio in self.ratios {
            write(bytes, ratio.den - usual);
            write(bytes, ratio.den - ratio.num);
        }
        write(bytes, self.known_s - usual);
        write(bytes, self.unknown_s);
        write(bytes, self.to_come_s);
        let occurred = self.down_s.iter().enumerate().filter(|(_, seconds)| **seconds != 0);
        write(bytes, occurred.clone().fold(0, |mask, (cause, _)| mask | 1 << cause));
        occurred.for_each(|(_, seconds)| write(bytes, *seconds));
    }

    /// What was packed, off the front of `bytes`; `None` at their end.
    pub(crate) fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        let usual = read(bytes)?;
        let mut seconds = Self::default();
        for ratio in &mut seconds.ratios {
            let den = usual + read(bytes)?;
            *ratio = Ratio::new(den - read(bytes)?, den);
        }
        seconds.known_s = usual + read(bytes)?;
        seconds.unknown_s = read(bytes)?;
        seconds.to_come_s = read(bytes)?;
        let occurred = read(bytes)?;
        for (cause, down_s) in seconds.down_s.iter_mut().enumerate() {
            if occurred & 1 << cause != 0 {
                *down_s = read(bytes)?;
            }
        }
        Some(seconds)
    }
}

impl AddAssign<&Self> for Seconds {
    fn add_assign(&mut self, other: &Self) {
        for (mine, more) in self.ratios.iter_mut().zip(other.ratios) {
            *mine += more;
        }
        self.known_s += other.known_s;
        self.unknown_s += other.unknown_s;
        self.to_come_s += other.to_come_s;
        for (mine, more) in self.down_s.iter_mut().zip(other.down_s) {
            *mine += more;
        }
    }
}

/// Seven bits a byte, the lowest first, the sign below them (as Protocol Buffers write a `sint64`).
pub(crate) fn write(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

pub(crate) fn read(bytes: &mut &[u8]) -> Option<i64> {
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_and_an_untroubled_month_takes_few_bytes() {
        let month = 31 * 86_400;
        let whole = Ratio::new(month, month);
        let untroubled = Seconds { ratios: [whole; 3], known_s: month, ..Seconds::default() };
        let troubled = Seconds {
            ratios: [Ratio::new(5, 9), Ratio::new(0, month), Ratio::new(-1, i64::MAX / 4)],
            known_s: 7,
            unknown_s: i64::MIN / 4,
            down_s: [0, 1, 127, 128, 0, 86_400, i64::MAX],
            to_come_s: 2_592_000,
        };
        let all = [untroubled, Seconds::default(), troubled, untroubled];
        let mut bytes = Vec::new();
        untroubled.pack(&mut bytes);
        assert!(bytes.len() <= 16, "{} bytes", bytes.len());
        bytes.clear();
        all.iter().for_each(|one| one.pack(&mut bytes));
        let mut rest = bytes.as_slice();
        let back: Vec<_> = std::iter::from_fn(|| Seconds::unpack(&mut rest)).collect();
        assert_eq!(back, all);
        assert!(rest.is_empty());
    }
}
