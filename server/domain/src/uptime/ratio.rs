//! A fraction of seconds, and the only ways we print and compare one ("uptime definition 2.11").

/// Seconds over seconds. Kept as integers for ever: a ratio is rounded only when it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ratio {
    pub num: i64,
    pub den: i64,
}

impl Ratio {
    #[must_use]
    pub const fn new(num: i64, den: i64) -> Self {
        Self { num, den }
    }

    /// Six decimals, half up; `None` when there was no time to measure. Not clamped: one second lost in a
    /// month prints as `1.000000`, which is why a target is never tested on the text.
    #[must_use]
    pub fn text(self) -> Option<String> {
        let millionths = self.scaled(1_000_000)?;
        Some(format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000))
    }

    /// A percentage for people, two decimals, half up. It says `100.00%` only when nothing was lost and
    /// `0.00%` only when nothing worked; `N/A` when there was no time to measure.
    #[must_use]
    pub fn display(self) -> String {
        let Some(rounded) = self.scaled(10_000) else {
            return "N/A".to_owned();
        };
        let honest = match rounded {
            10_000.. if self.num < self.den => 9_999,
            0 if self.num > 0 => 1,
            _ => rounded,
        };
        format!("{}.{:02}%", honest / 100, honest % 100)
    }

    /// Whether a target of `a/b` is met, exactly. Without accountable time no target is met.
    #[must_use]
    pub fn meets(self, a: i64, b: i64) -> bool {
        self.den > 0 && i128::from(self.num) * i128::from(b) >= i128::from(a) * i128::from(self.den)
    }

    /// Whether this and another ratio are at least `parts / whole` apart. A ratio that appears or
    /// disappears has moved.
    #[must_use]
    pub fn differs_by(self, other: Self, parts: i64, whole: i64) -> bool {
        if self.den == 0 || other.den == 0 {
            return self.den != other.den;
        }
        let cross = |a: Self, b: Self| i128::from(a.num) * i128::from(b.den);
        let distance = (cross(self, other) - cross(other, self)).unsigned_abs();
        let threshold = i128::from(self.den) * i128::from(other.den);
        // Each factor is far below 2^43 seconds even for a fleet of millions over years, so the
        // products stay inside 128 bits.
        distance * u128::from(whole.unsigned_abs()) >= (threshold * i128::from(parts)).unsigned_abs()
    }

    fn scaled(self, units: i128) -> Option<i128> {
        let (num, den) = (i128::from(self.num), i128::from(self.den));
        (den > 0).then(|| (2 * num * units + den) / (2 * den))
    }
}

impl std::ops::AddAssign for Ratio {
    fn add_assign(&mut self, other: Self) {
        self.num += other.num;
        self.den += other.den;
    }
}
