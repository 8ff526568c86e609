//! The inspection calendar: monthly by phone, quarterly on site, and the papers that follow
//! (rulebook chapter 6, SR-200 to SR-233).
//!
//! - [`plan`]: when the campaign of a period is held and its reports are due
//! - [`outcome`]: what became of one kiosk's inspection and of its report
//! - [`papers`]: deadlines of statistics, files and the overhaul at the end of a contract
//! - [`due`]: what one kiosk owes at an instant
//!
//! Ends and due instants are exclusive: what happens at that instant is too late.

pub mod due;
pub mod outcome;
pub mod papers;
pub mod plan;
mod policy;

pub use due::{Campaigns, Done, Due, KioskInService, due_list};
pub use outcome::{Facts, InspectionState, Outcome, ReportState, outcome};
pub use plan::{Kind, Period, Plan, Planner};
pub use policy::{Policy, PolicyError};

#[cfg(test)]
mod tests;
