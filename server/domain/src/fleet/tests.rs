//! The rules as tables with sentences for names.
mod commands;
mod journals;
mod presence;
mod problems;
mod properties;
mod sites;
mod tickets;
