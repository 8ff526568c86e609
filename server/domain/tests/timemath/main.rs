//! The time arithmetic against worked examples and against slow, obvious models.

mod cases;
mod interval_model;
mod uptime_model;
