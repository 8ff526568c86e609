//! Mistakes that are made in real systems, planted around the product without touching it.
//!
//! A simulation that finds nothing proves little unless it finds these.

/// One way to build it wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mistake {
    /// The server acknowledges what it planned, before it is committed.
    AckBeforeCommit,
    /// The server acknowledges the last number it received, not the last it applied.
    AckOfReceived,
    /// The server starts without its journal heads and applies everything again.
    HeadsForgotten,
    /// The server starts from an image older than its store, as a cache would give it.
    StaleImage,
    /// A last will counts as a verdict.
    WillIsVerdict,
    /// After a last will a kiosk is judged from its last sign of life on: its return gets no time.
    NoTimeAfterWill,
    /// The server does not notice that it was cut off, and blames the kiosks.
    OwnDeafnessUnnoticed,
    /// Nobody is given time to come back after the server was away: silence is judged at once.
    NoSettling,
    /// The server does not notice that its clock was set.
    OwnClockJumpUnnoticed,
    /// The times of devices count as they are told.
    DeviceClockTrusted,
    /// The agent does not compare digests.
    DigestIgnored,
    /// The agent obeys an ack above its own last number.
    AckAboveLastObeyed,
    /// The broker's word counts as the server's.
    PubackTrusted,
    /// Records go out before they are on disk.
    SentBeforeDurable,
    /// Records of an old epoch come again without the place where they stood.
    WasStripped,
    /// The record that stands for evicted ones is lost.
    DroppedLost,
    /// A resend begins behind the gap instead of at it.
    GapSkipped,
    /// The server goes on where a message begins, and books what is missing before it as lost.
    GapGivenUp,
    /// Triage books a problem as "ticket opened", and nobody opens one.
    TicketForgotten,
    /// The ticket of a problem that is gone stays open for ever.
    TicketNeverResolved,
}

impl Mistake {
    pub const ALL: &'static [Self] = &[
        Self::AckBeforeCommit,
        Self::AckOfReceived,
        Self::HeadsForgotten,
        Self::StaleImage,
        Self::WillIsVerdict,
        Self::NoTimeAfterWill,
        Self::OwnDeafnessUnnoticed,
        Self::NoSettling,
        Self::OwnClockJumpUnnoticed,
        Self::DeviceClockTrusted,
        Self::DigestIgnored,
        Self::AckAboveLastObeyed,
        Self::PubackTrusted,
        Self::SentBeforeDurable,
        Self::WasStripped,
        Self::DroppedLost,
        Self::GapSkipped,
        Self::GapGivenUp,
        Self::TicketForgotten,
        Self::TicketNeverResolved,
    ];
}
