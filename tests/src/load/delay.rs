//! How long something took, from every single sample.
use std::{fmt, time::Duration};

/// Samples in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Delays(Vec<Duration>);

impl Delays {
    pub fn add(&mut self, delay: Duration) {
        self.0.push(delay);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest sample that at least this share of all do not exceed. `None` without samples.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a place within the samples"
        )]
        let place = (share * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted.get(place - 1).copied()
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |share| self.quantile(share).map(|delay| delay.as_secs_f64() * 1e3);
        match (ms(0.5), ms(0.99), ms(1.0)) {
            (Some(p50), Some(p99), Some(most)) => {
                write!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, longest {most:.1} ms of {}", self.len())
            }
            _ => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut delays = Delays::default();
        assert_eq!(delays.quantile(0.5), None);
        for ms in [4, 1, 3, 2] {
            delays.add(Duration::from_millis(ms));
        }
        let ms = |share| delays.quantile(share).unwrap().as_millis();
        assert_eq!((ms(0.0), ms(0.5), ms(0.51), ms(0.99), ms(1.0)), (1, 2, 3, 4, 4));
    }
}
