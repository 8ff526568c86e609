//! What a bill validator can be doing, and how it says so in the answer to POLL.

/// One state of the validator. A number in it is the byte that follows the state on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    PowerUp,
    PowerUpBillInValidator,
    PowerUpBillInStacker,
    Initialise,
    /// Ready for notes: somebody has enabled it.
    Idling,
    Accepting,
    Stacking,
    Returning,
    Disabled,
    /// A note is kept in escrow at the host's wish.
    Holding,
    /// Not ready; the number is the time in tenths of a second.
    Busy(u8),
    /// The reason: `60` insertion, `61` magnetic, `65` identification, `68` inhibit, …
    Rejecting(u8),
    StackerFull,
    StackerRemoved,
    ValidatorJam,
    StackerJam,
    /// Somebody has pulled on a string.
    Cheated,
    Pause,
    /// The part: `50` stack motor, `51` transport speed, `52` transport, `53` aligning, `54` cassette,
    /// `55` optic, `56` magnetic, `5F` capacitance.
    Failure(u8),
    /// A note of this type waits for the host's decision.
    Escrow(u8),
    /// A note of this type is in the stacker; the message stays until a host acknowledges it.
    Stacked(u8),
    /// A note of this type went back; the message stays until a host acknowledges it.
    Returned(u8),
}

impl Phase {
    /// The bytes between length and CRC in the answer to POLL.
    pub(super) fn payload(self) -> Vec<u8> {
        match self {
            Self::PowerUp => vec![0x10],
            Self::PowerUpBillInValidator => vec![0x11],
            Self::PowerUpBillInStacker => vec![0x12],
            Self::Initialise => vec![0x13],
            Self::Idling => vec![0x14],
            Self::Accepting => vec![0x15],
            Self::Stacking => vec![0x17],
            Self::Returning => vec![0x18],
            Self::Disabled => vec![0x19],
            Self::Holding => vec![0x1A],
            Self::Busy(tenths) => vec![0x1B, tenths],
            Self::Rejecting(reason) => vec![0x1C, reason],
            Self::StackerFull => vec![0x41],
            Self::StackerRemoved => vec![0x42],
            Self::ValidatorJam => vec![0x43],
            Self::StackerJam => vec![0x44],
            Self::Cheated => vec![0x45],
            Self::Pause => vec![0x46],
            Self::Failure(part) => vec![0x47, part],
            Self::Escrow(bill_type) => vec![0x80, bill_type],
            Self::Stacked(bill_type) => vec![0x81, bill_type],
            Self::Returned(bill_type) => vec![0x82, bill_type],
        }
    }

    /// Freshly powered, not yet initialised.
    pub(super) fn is_power_up(self) -> bool {
        matches!(self, Self::PowerUp | Self::PowerUpBillInValidator | Self::PowerUpBillInStacker)
    }

    /// IDENTIFICATION and the bill table are answered here; elsewhere they are illegal commands.
    pub(super) fn may_identify(self) -> bool {
        self.is_power_up()
            || matches!(
                self,
                Self::Initialise
                    | Self::Disabled
                    | Self::StackerFull
                    | Self::StackerRemoved
                    | Self::ValidatorJam
                    | Self::StackerJam
                    | Self::Cheated
                    | Self::Pause
                    | Self::Failure(_)
            )
    }

    /// A note waits for the application's word; a monitor's POLL may not fall in here.
    pub(super) fn note_waits(self) -> bool {
        matches!(self, Self::Escrow(_) | Self::Holding)
    }

    /// Shows that somebody else works with this validator, so that a monitor has to leave it alone.
    pub(super) fn shows_an_owner(self) -> bool {
        matches!(
            self,
            Self::Idling
                | Self::Accepting
                | Self::Stacking
                | Self::Returning
                | Self::Holding
                | Self::Rejecting(_)
                | Self::Escrow(_)
                | Self::Stacked(_)
                | Self::Returned(_)
        )
    }
}
