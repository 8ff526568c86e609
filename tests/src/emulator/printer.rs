//! A receipt printer that speaks ESC/POS.
//!
//! Sources: Epson ESC/POS reference (DLE EOT, GS r, GS I, GS a, GS ( A, DLE ENQ); Custom KPM150H manual
//! (DLE EOT 20).

mod commands;
mod model;
mod realtime;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::Duration;

use super::device::Emulator;
pub use model::PrinterModel;

/// How much paper there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paper {
    /// Enough.
    #[default]
    Ok,
    /// The roll is nearly used up; it still prints.
    NearEnd,
    /// None; it cannot print.
    Out,
}

/// What a test can do to a printer, and what it can see of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrinterState {
    pub paper: Paper,
    pub cover_open: bool,
    /// The knife did not come back.
    pub cutter_error: bool,
    /// A mechanical error that DLE ENQ 1 may clear.
    pub recoverable_error: bool,
    /// An error that only a technician clears.
    pub unrecoverable: bool,
    /// The print head is too hot and waits; it recovers by itself.
    pub head_overheat: bool,
    /// Off line without any of the causes above.
    pub offline: bool,
    /// The cause is gone, but somebody has to press the button.
    pub waiting_for_recovery: bool,
    /// Somebody holds the feed button.
    pub feed_button: bool,
    /// The drawer connector's sensing pin is high.
    pub drawer_high: bool,
    /// Supply voltage out of range: only the Custom full status can say it.
    pub voltage_error: bool,
    /// A ticket hangs in the mouth: only the Custom full status can say it.
    pub ticket_not_taken: bool,
    /// A test print is running. Written by the printer.
    pub printing: bool,
    /// Test prints that came out complete. Written by the printer.
    pub test_prints: u64,
}

/// What the printer answers to GS I.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrinterIdentity {
    /// GS I 1, one byte.
    pub model_id: u8,
    /// GS I 2, one byte: fixed bits and "has a cutter".
    pub type_id: u8,
    pub firmware: String,
    pub maker: String,
    pub model: String,
    pub serial: String,
}

impl Default for PrinterIdentity {
    /// A common 80 mm printer that keeps its firmware version to itself: an empty text is allowed.
    fn default() -> Self {
        Self {
            model_id: 0x63,
            type_id: 0x02,
            firmware: String::new(),
            maker: "EPSON".to_owned(),
            model: "TM-T20III".to_owned(),
            serial: "X7QZ004711".to_owned(),
        }
    }
}

/// What kind of printer it is; fixed for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrinterOptions {
    /// It answers DLE EOT 20, as the Custom KPM and VKP families do.
    pub custom_full_status: bool,
    /// It has the optional sensor for a roll that is nearly used up.
    pub near_end_sensor: bool,
    /// How long the test print takes.
    pub test_print_takes: Duration,
    pub identity: PrinterIdentity,
}

impl Default for PrinterOptions {
    fn default() -> Self {
        Self {
            custom_full_status: false,
            near_end_sensor: true,
            test_print_takes: Duration::from_millis(1500),
            identity: PrinterIdentity::default(),
        }
    }
}

/// A receipt printer on a line of its own.
pub type Printer = Emulator<PrinterModel>;

impl Printer {
    /// A healthy Epson-class printer at `dir/name`.
    pub fn start(dir: &Path, name: &str) -> io::Result<Self> {
        Self::start_with(dir, name, PrinterOptions::default())
    }

    /// A healthy printer of a certain kind at `dir/name`.
    pub fn start_with(dir: &Path, name: &str, options: PrinterOptions) -> io::Result<Self> {
        Self::with_model(dir, name, PrinterModel::new(options))
    }
}
