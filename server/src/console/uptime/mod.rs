//! Uptime for people: a percentage, the days and intervals behind it, and the evidence behind those.
//!
//! Every number of these pages is summed from the same explained intervals ([`Explained`]), so what is listed
//! adds up to the figure above it. Charts are SVG drawn here: positions in percent, so that they fit any width
//! without a script; each has a text alternative, and no meaning rests on colour alone.
//!
//! [`Explained`]: kioskwatch_domain::uptime::Explained
mod calendar;
mod causes;
mod intervals;
pub(super) mod kiosk;
mod measure;
mod month;
pub(super) mod record;
mod trend;

pub(super) use self::{measure::Measure, month::Month};
