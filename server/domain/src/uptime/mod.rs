//! How much of the promised time a kiosk worked: three nested ratios as exact integers.
//!
//! *Accountable time* is the period, inside service hours, while commissioned, minus approved
//! exclusions. Evidence says what state the kiosk was in; the rest is unknown. A sweep over the
//! boundaries of all these sets cuts accountable time into pieces of one basis each, and everything else
//! is read off the pieces: the figures are their sums, the explanation is the list itself, so the two
//! cannot disagree.
//!
//! Nothing is smoothed, bridged or averaged, and nobody else computes a contract ratio.
//!
//! - [`evidence`]: states, what a source claims, heartbeats as evidence
//! - [`exclusion`]: time that is forgiven, and time that does not count at all
//! - [`sweep`]: from the sets to pieces
//! - [`figures`] and [`ratio`]: from pieces to integers, and how they are printed and compared
//! - [`explain`]: from pieces to sentences
//! - [`aggregate`]: from kiosks to groups
//! - [`outages`]: how often it broke, and what is left of a promise
//! - [`booking`] and [`books`]: a month as rows, its signing and its restatement
//! - [`corrections`]: what people say was entered wrong
//! - [`restate`]: the freeze, and when late evidence deserves a new version
//! - [`month`]: the period of a contract figure
//! - [`rows`]: from what is stored to what the sweep takes

pub mod aggregate;
pub mod booking;
pub mod books;
pub mod causes;
pub mod corrections;
pub mod evidence;
pub mod exclusion;
pub mod explain;
pub mod figures;
pub mod live;
pub mod month;
pub mod outages;
pub mod ratio;
pub mod restate;
pub mod rows;
pub mod sweep;

pub use aggregate::Shares;
pub use causes::Cause;
pub use evidence::{Evidence, Source, State};
pub use exclusion::{Exclusion, ExclusionClass};
pub use explain::{Counted, Explained, Verdict, Why};
pub use figures::Figures;
pub use live::Beat;
pub use month::Month;
pub use outages::{Margin, Outage, Reliability};
pub use ratio::Ratio;
pub use sweep::{Inputs, Timeline};

/// The figures of one kiosk and period.
#[must_use]
pub fn evaluate(inputs: &Inputs<'_>) -> Figures {
    Timeline::build(inputs).figures()
}

/// Every piece of accountable time with its state, cause and how it counted in each ratio.
#[must_use]
pub fn explain(inputs: &Inputs<'_>) -> Vec<Explained> {
    Timeline::build(inputs).explain()
}
