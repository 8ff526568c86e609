//! The router as a whole, over a real store and a real fleet; only the broker is a closed port.
mod decision_pages;
mod defects;
mod figures;
mod fixture;
mod input;
mod matrix;
mod openapi;
mod pages;
mod past;
mod restating;
mod service;
mod ticket_pages;
mod timeline;
mod uptime_pages;

pub(super) use self::defects::with_a_defect;
