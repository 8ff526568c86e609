//! The rules as tables with sentences for names.
mod admission;
mod books;
mod clock_jumps;
mod commands;
mod copies;
mod expected;
mod hearing;
mod journals;
mod presence;
mod problems;
mod properties;
mod quarantine;
mod recall;
mod set_aside;
mod sites;
mod tickets;
mod unstored;
