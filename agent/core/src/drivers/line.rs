//! How a serial line is set, as a value: the shell that opens the port applies it.

/// The parity bit of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    None,
    Even,
    Odd,
}

/// Settings of a serial line. A driver names its device's defaults; the configuration may change the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSettings {
    /// Symbols per second.
    pub baud: u32,
    pub data_bits: u8,
    pub parity: Parity,
    pub stop_bits: u8,
    /// Level of the DTR wire; `None` leaves it alone. Best effort: a pseudo-terminal has no such wire.
    pub dtr: Option<bool>,
    /// Level of the RTS wire; as with DTR.
    pub rts: Option<bool>,
}

impl LineSettings {
    /// Eight data bits, no parity, one stop bit; the control wires are left alone.
    pub const fn eight_n_one(baud: u32) -> Self {
        Self { baud, data_bits: 8, parity: Parity::None, stop_bits: 1, dtr: None, rts: None }
    }

    /// The same line with these levels on the control wires.
    #[must_use]
    pub const fn with_wires(self, dtr: bool, rts: bool) -> Self {
        Self { dtr: Some(dtr), rts: Some(rts), ..self }
    }
}
