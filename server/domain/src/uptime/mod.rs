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
//! # What bad input becomes
//!
//! | input | outcome | held by |
//! |---|---|---|
//! | evidence from the future | a claim never reaches past its arrival nor past the instant of the report | `no_claim_and_no_assignment_makes_a_figure_that_cannot_be` |
//! | overlapping, duplicated, out of order | sets are painted: a second said twice counts once, in any order, with the same fingerprint | the same, and the count of every second in `uptime_model` |
//! | contradictory, two agents with one id | the journal wins over heartbeats, within a source the worse state wins: two voices are never better than either; the second voice is a security event of its own | `uptime_model`, `fleet` |
//! | a clock that jumped ten years | records are placed by their boot's monotonic clock, else between the record before and their arrival ([`crate::cursor::place`]) | `cursor::tests` |
//! | a kiosk moved or became another model in mid-month | each site owns its own seconds under its own hours, each model those in which it was one; of two assignments that overlap the later one holds; what nobody owned is a row of nobody ([`booking::owners`]) | `a_kiosk_moved_in_mid_month_owes_each_site_its_own_seconds` |
//! | a schedule, an exclusion, a correction that ends before it begins | a window of hours runs over midnight, one that ends where it begins is refused where it is entered; exclusions and corrections are refused, and if one is stored it forgives nothing | `a_correction_that_cannot_be_is_refused_with_a_sentence` |
//! | a zone or hours that cannot be read | refused where they are entered; if stored, the default zone and always open, and every answer names the site | `hours_and_zones_that_cannot_be_read_are_named_and_forgive_nothing` |
//! | a ratio above 1, below 0, a false 100.00 % | impossible by construction of numerator and denominator from the same pieces, refused by the database's CHECKs, and never printed ([`Ratio::display`]) | `a_percentage_never_hides_a_second` |
//!
//! # Where to look
//!
//! - [`evidence`]: states, what a source claims
//! - [`exclusion`]: time that is forgiven, and time that does not count at all
//! - [`sweep`]: from the sets to pieces
//! - [`figures`] and [`ratio`]: from pieces to integers, and how they are printed and compared
//! - [`explain`]: from pieces to sentences
//! - [`outages`]: how often it broke, and what is left of a promise
//! - [`live`]: heartbeats as stretches
//! - [`booking`] and [`books`]: a month as rows, shared out to those it belonged to, its signing and its restatement; [`seal`]: by what it is
//!   found out that something signed was changed
//! - [`contracts`]: to which region and customer sites belonged when
//! - [`corrections`]: what people say was entered wrong; [`hurdle`]: who may not decide about it
//! - [`lived`]: whether our clock is behind what is known
//! - [`restate`]: the freeze, and when late evidence deserves a new version
//! - [`month`]: the period of a contract figure; [`commissioned`]: when a kiosk counts at all; [`known`]: what was known
//!   when
//! - [`rows`]: from what is stored to what the sweep takes

pub mod booking;
pub mod books;
pub mod causes;
pub mod commissioned;
pub mod contracts;
pub mod corrections;
pub mod evidence;
pub mod exclusion;
pub mod explain;
pub mod figures;
pub mod hurdle;
pub mod known;
pub mod live;
pub mod lived;
pub mod month;
pub mod outages;
pub mod outlook;
pub mod past;
pub mod proofs;
pub mod ratio;
pub mod restate;
pub mod rows;
pub mod seal;
pub mod sweep;

pub use causes::Cause;
pub use commissioned::Commissioned;
pub use evidence::{Evidence, Source, State};
pub use exclusion::{Exclusion, ExclusionClass};
pub use explain::{Counted, Explained, Verdict, Why};
pub use figures::Figures;
pub use hurdle::Hurdle;
pub use known::Known;
pub use live::LiveSpan;
pub use month::Month;
pub use outages::{Margin, Outage, Reliability};
pub use outlook::{Outlook, next_edge, outlook};
pub use proofs::Proofs;
pub use ratio::Ratio;
pub use sweep::{Inputs, Piece, Timeline};
