//! The status bytes of ESC/POS, from the state of the printer.
//!
//! | reply | fixed bits |
//! |---|---|
//! | DLE EOT n | b1 and b4 set, b0 and b7 clear |
//! | ASB, first byte | b4 set, b0, b1 and b7 clear |
//! | GS r | b4 and b7 clear |

use super::{Paper, PrinterState};

/// Bits 1 and 4, which are set in every reply to DLE EOT.
const REALTIME: u8 = 0b0001_0010;

fn bit(number: u8, set: bool) -> u8 {
    u8::from(set) << number
}

impl PrinterState {
    /// Something keeps the printer from taking data, apart from a test print.
    pub(super) fn stopped(&self) -> bool {
        self.paper == Paper::Out
            || self.cover_open
            || self.error()
            || self.offline
            || self.waiting_for_recovery
    }

    fn error(&self) -> bool {
        self.cutter_error || self.recoverable_error || self.unrecoverable || self.head_overheat
    }

    /// Off line as the host sees it. A printer that prints its test page takes no data either.
    fn is_offline(&self) -> bool {
        self.stopped() || self.printing
    }

    /// Head too hot, or the cover was opened under a running print: one bit says both.
    fn auto_recoverable(&self) -> bool {
        self.head_overheat || (self.cover_open && self.printing)
    }

    /// DLE EOT 1: the printer.
    pub(super) fn realtime_printer(&self) -> u8 {
        REALTIME
            | bit(2, self.drawer_high)
            | bit(3, self.is_offline())
            | bit(5, self.waiting_for_recovery)
            | bit(6, self.feed_button)
    }

    /// DLE EOT 2: why it is off line.
    pub(super) fn realtime_offline_cause(&self) -> u8 {
        REALTIME
            | bit(2, self.cover_open)
            | bit(3, self.feed_button)
            | bit(5, self.paper == Paper::Out)
            | bit(6, self.error() || self.auto_recoverable())
    }

    /// DLE EOT 3: which error.
    pub(super) fn realtime_error(&self) -> u8 {
        REALTIME
            | bit(2, self.recoverable_error)
            | bit(3, self.cutter_error)
            | bit(5, self.unrecoverable)
            | bit(6, self.auto_recoverable())
    }

    /// DLE EOT 4: the paper. Each sensor drives two bits.
    pub(super) fn realtime_paper(&self, near_end_sensor: bool) -> u8 {
        let near_end = self.near_end(near_end_sensor);
        let out = self.paper == Paper::Out;
        REALTIME | bit(2, near_end) | bit(3, near_end) | bit(5, out) | bit(6, out)
    }

    /// Where there is no paper at all, the sensor for the thin roll sees none either.
    fn near_end(&self, sensor: bool) -> bool {
        sensor && self.paper != Paper::Ok
    }

    /// GS r 1: the paper, as a buffered answer.
    pub(super) fn transmit_paper(&self, near_end_sensor: bool) -> u8 {
        let near_end = self.near_end(near_end_sensor);
        let out = self.paper == Paper::Out;
        bit(0, near_end) | bit(1, near_end) | bit(2, out) | bit(3, out)
    }

    /// GS r 2: the drawer.
    pub(super) fn transmit_drawer(&self) -> u8 {
        bit(0, self.drawer_high)
    }

    /// The four bytes of Automatic Status Back.
    pub(super) fn automatic(&self, near_end_sensor: bool) -> [u8; 4] {
        [
            0x10 | bit(2, self.drawer_high)
                | bit(3, self.is_offline())
                | bit(5, self.cover_open)
                | bit(6, self.feed_button),
            bit(0, self.waiting_for_recovery)
                | bit(1, self.feed_button)
                | bit(2, self.recoverable_error)
                | bit(3, self.cutter_error)
                | bit(5, self.unrecoverable)
                | bit(6, self.auto_recoverable()),
            self.transmit_paper(near_end_sensor),
            0,
        ]
    }

    /// DLE EOT 20 of the Custom printers: paper, user, recoverable, unrecoverable.
    ///
    /// The layout of the last byte differs between models; a reader must take any bit for a defect.
    pub(super) fn custom_full(&self, near_end_sensor: bool) -> [u8; 6] {
        [
            0x10,
            0x0F,
            bit(0, self.paper == Paper::Out)
                | bit(2, self.near_end(near_end_sensor))
                | bit(5, self.ticket_not_taken),
            bit(1, self.cover_open) | bit(3, self.printing) | bit(5, self.feed_button),
            bit(0, self.head_overheat) | bit(3, self.voltage_error),
            bit(0, self.cutter_error) | bit(6, self.unrecoverable),
        ]
    }
}

/// The part of an ASB group whose change is reported under this `n` of GS a.
///
/// | bit of n | what is watched |
/// |---|---|
/// | 0 | drawer |
/// | 1 | on line, off line |
/// | 2 | errors |
/// | 3 | paper |
/// | 6 | feed button |
pub(super) fn watched(enabled: u8, group: [u8; 4]) -> [u8; 4] {
    let part = |number: u8, mask: u8| if enabled & (1 << number) == 0 { 0 } else { mask };
    [
        group[0] & (part(0, 0x04) | part(1, 0x28) | part(6, 0x40)),
        group[1] & (part(1, 0x01) | part(2, 0x6C) | part(6, 0x02)),
        group[2] & part(3, 0x0F),
        0,
    ]
}
