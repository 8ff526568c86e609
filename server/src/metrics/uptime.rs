//! What a scrape shows of uptime. A page writes all figures of one family before the next, so all of them wait for their
//! turn: packed, as a hundred thousand sites have half a million.
use super::seconds::{Seconds, read, write};

/// The names of the periods.
pub(crate) const PERIODS: [&str; 3] = ["today", "month", "last_month"];

/// Whose sums there are. Each of them holds the same time: never add up two.
const SCOPES: [&str; 6] = ["fleet", "site", "region", "customer", "engineer", "kiosk"];

/// Seconds, never ratios: ratios are divided at the end, after summing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UptimeFigure<'a> {
    /// `fleet`, `site`, `region`, `customer`, `engineer` or `kiosk`.
    pub scope: &'static str,
    /// "" is the fleet, and what belongs to no site, region, customer or engineer.
    pub id: &'a str,
    /// `today`, `month`, `last_month`.
    pub period: &'static str,
    pub seconds: Seconds,
}

/// In the order in which a page shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UptimeFigures {
    /// Of each the numbers of its scope and period, its name with its length, and its seconds.
    bytes: Vec<u8>,
}

impl UptimeFigures {
    /// Of a scope and a period that have those names.
    pub(crate) fn push(&mut self, figure: &UptimeFigure<'_>) {
        let place = |names: &[&str], name| names.iter().position(|one| *one == name).unwrap_or_default();
        let of = place(&SCOPES, figure.scope) * PERIODS.len() + place(&PERIODS, figure.period);
        for number in [of, figure.id.len()] {
            write(&mut self.bytes, i64::try_from(number).unwrap_or(i64::MAX));
        }
        self.bytes.extend_from_slice(figure.id.as_bytes());
        figure.seconds.pack(&mut self.bytes);
    }

    pub fn iter(&self) -> impl Iterator<Item = UptimeFigure<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || unpacked(&mut rest))
    }
}

/// The next figure, off the front; `None` at the end.
fn unpacked<'a>(bytes: &mut &'a [u8]) -> Option<UptimeFigure<'a>> {
    let of = usize::try_from(read(bytes)?).ok()?;
    let length = usize::try_from(read(bytes)?).ok()?;
    let (id, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(UptimeFigure {
        scope: SCOPES.get(of / PERIODS.len())?,
        id: std::str::from_utf8(id).ok()?,
        period: PERIODS[of % PERIODS.len()],
        seconds: Seconds::unpack(bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use kioskwatch_domain::uptime::Ratio;

    use super::*;

    #[test]
    fn figures_come_back_as_they_were_and_an_untroubled_site_takes_few_bytes() {
        let month = 31 * 86_400;
        let whole = Seconds { ratios: [Ratio::new(month, month); 3], known_s: month, ..Seconds::default() };
        let troubled = Seconds { down_s: [0, 1, 127, 128, 0, 86_400, i64::MAX], to_come_s: -5, ..whole };
        let mut figures = UptimeFigures::default();
        let mut pushed = Vec::new();
        for scope in SCOPES {
            for (period, (id, seconds)) in
                PERIODS.into_iter().zip([("", whole), ("S-0000001", troubled), ("\u{5e97}\"\n", whole)])
            {
                let figure = UptimeFigure { scope, id, period, seconds };
                figures.push(&figure);
                pushed.push(figure);
            }
        }
        assert_eq!(figures.iter().collect::<Vec<_>>(), pushed);
        let mut site = UptimeFigures::default();
        site.push(&UptimeFigure { scope: "site", id: "S-0000001", period: "month", seconds: whole });
        assert!(site.bytes.len() <= 32, "{} bytes", site.bytes.len());
    }
}
