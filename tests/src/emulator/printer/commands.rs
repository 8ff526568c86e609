//! Cuts what is left of the byte stream into the commands that wait their turn in the receive buffer.

const ESC: u8 = 0x1B;
const FS: u8 = 0x1C;
const GS: u8 = 0x1D;

/// A buffered command: carried out in order, and only while the printer is on line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// GS r n.
    Transmit(u8),
    /// GS I n.
    Identify(u8),
    /// GS a n.
    AutomaticStatus(u8),
    /// GS ( A with the test page as its pattern.
    TestPrint,
    /// ESC @.
    Initialise,
    /// GS ( A that asks for something other than the test page.
    OtherTest(Vec<u8>),
    /// Anything else: it would end up on paper, or change how the next ticket looks.
    Print(Vec<u8>),
}

/// Takes the first command off `pending`, or nothing if it is not complete.
pub(super) fn next_command(pending: &mut Vec<u8>) -> Option<Command> {
    let (length, command) = match *pending.as_slice() {
        [] | [ESC | FS | GS] | [GS, b'r' | b'I' | b'a'] => return None,
        [GS, b'(', ref rest @ ..] => match *rest {
            [function, low, high, ref data @ ..] => {
                let size = usize::from(u16::from_le_bytes([low, high]));
                let parameters = data.get(..size)?.to_vec();
                (5 + size, test_print(function, parameters))
            }
            _ => return None,
        },
        [GS, b'r', n, ..] => (3, Command::Transmit(n)),
        [GS, b'I', n, ..] => (3, Command::Identify(n)),
        [GS, b'a', n, ..] => (3, Command::AutomaticStatus(n)),
        [ESC, b'@', ..] => (2, Command::Initialise),
        [ESC | FS | GS, other, ..] => (2, Command::Print(vec![pending[0], other])),
        ref data => {
            let plain = data.iter().take_while(|byte| !matches!(**byte, ESC | FS | GS)).count();
            (plain, Command::Print(data[..plain].to_vec()))
        }
    };
    pending.drain(..length);
    Some(command)
}

fn test_print(function: u8, parameters: Vec<u8>) -> Command {
    match (function, parameters.as_slice()) {
        // From any paper source; 2 is the page with the printer's settings, 1 would be a hexadecimal dump.
        (b'A', [_, 2]) => Command::TestPrint,
        (b'A', _) => Command::OtherTest(parameters),
        _ => Command::Print(vec![GS, b'(', function]),
    }
}
