//! Devices that are not there: a receipt printer, a UPS and a bill validator, each on a pseudo-terminal.
//!
//! The demo and the whole-stack tests point the real agent at these paths, so that everything from the
//! serial driver upwards is the code that runs in a kiosk.
//!
//! # What this module knows
//! How the three devices behave on the wire, byte for byte, from public protocol descriptions.
//!
//! # What it must not know
//! Anything of the agent. It has its own encoders and its own checksum, written a second time: a table
//! that is wrong in the driver must meet one that is right here, not its own mirror image.
//!
//! # Where things are
//! | file | noun |
//! |---|---|
//! | `device` | [`Emulator`]: the handle of every device, what it did not like ([`Violation`]), its power |
//! | `line` | [`Line`]: the cable: its path, what is wrong with it, pulling it out |
//! | `fault` | [`LineFault`]: what can be wrong with a cable |
//! | `pty` | the pseudo-terminal itself |
//! | `serve` | the one task of each device: waits for the host, for a deadline, or for a test |
//! | `printer` | [`Printer`]: ESC/POS, with the Custom full status as an option |
//! | `ups` | [`Ups`]: Megatec Q1 |
//! | `acceptor` | [`Acceptor`]: CCNET bill validator, which also keeps its own account of the notes |
//!
//! An emulator needs a running tokio runtime, sleeps while nothing happens, and ends with its last handle.

mod acceptor;
mod device;
mod fault;
mod line;
mod printer;
mod pty;
mod serve;
mod ups;

#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, AcceptorModel, AcceptorState, Notes, Phase};
pub use device::{Emulator, Model, Replies, Violation, Violations};
pub use fault::LineFault;
pub use line::Line;
pub use printer::{Paper, Printer, PrinterIdentity, PrinterModel, PrinterOptions, PrinterState};
pub use ups::{Ups, UpsModel, UpsState};
