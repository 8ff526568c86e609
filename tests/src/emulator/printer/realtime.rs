//! Takes the real-time commands out of the byte stream, wherever they stand.
//!
//! The receiver of an ESC/POS printer looks at every byte before the command interpreter does, so `10 04 n`
//! inside picture data is answered too. That is why a monitor must not send while somebody prints.

const DLE: u8 = 0x10;
const EOT: u8 = 0x04;
const ENQ: u8 = 0x05;
const DC4: u8 = 0x14;

/// What the receiver made of a byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Part of something that is not complete yet.
    Nothing,
    /// These are not for the receiver; the interpreter gets them.
    Data(Vec<u8>),
    /// DLE EOT n.
    Status(u8),
    /// DLE ENQ n.
    Recover(u8),
    /// DLE DC4 n.
    Pulse(u8),
}

#[derive(Default)]
pub(super) struct Receiver {
    prefix: Vec<u8>,
    /// Parameters of a DLE DC4 that are still to come.
    skip: u8,
}

impl Receiver {
    pub(super) fn take(&mut self, byte: u8) -> Found {
        if self.skip > 0 {
            self.skip -= 1;
            return Found::Nothing;
        }
        match (self.prefix.as_slice(), byte) {
            ([], DLE) | ([DLE], EOT | ENQ | DC4) => {
                self.prefix.push(byte);
                Found::Nothing
            }
            ([], _) => Found::Data(vec![byte]),
            // The first DLE was data; this one may begin a command.
            ([DLE], DLE) => Found::Data(vec![DLE]),
            ([DLE, EOT], _) => self.complete(Found::Status(byte)),
            ([DLE, ENQ], _) => self.complete(Found::Recover(byte)),
            ([DLE, DC4], _) => {
                self.skip = match byte {
                    1 | 2 => 2,
                    8 => 7,
                    _ => 0,
                };
                self.complete(Found::Pulse(byte))
            }
            _ => {
                let mut data = std::mem::take(&mut self.prefix);
                data.push(byte);
                Found::Data(data)
            }
        }
    }

    fn complete(&mut self, found: Found) -> Found {
        self.prefix.clear();
        found
    }
}
