//! The rules as tables with sentences for names.
mod clock_jumps;
mod commands;
mod journals;
mod presence;
mod problems;
mod properties;
mod sites;
mod tickets;
