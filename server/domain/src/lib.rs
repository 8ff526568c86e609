//! What the server knows and decides: pure functions over values, `now` always an argument.
pub mod calendar;
pub mod cases;
pub mod change;
pub mod fleet;
pub mod ids;
pub mod image;
pub mod inspection;
pub mod interval;
pub mod json;
pub mod policy;
pub mod service_hours;
pub mod sla;
pub mod testing;
pub mod triage;
pub mod uptime;
pub mod wall;
