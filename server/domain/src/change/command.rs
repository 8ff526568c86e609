//! Rows of remote commands and of their steps.
use kioskwatch_proto::{CommandId, KioskId, Timestamp};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandState {
    AwaitingApproval,
    Queued,
    Sent,
    Accepted,
    Deferred,
    Started,
    Succeeded,
    Failed,
    Refused,
    Expired,
    Cancelled,
    Unknown,
}

stored_words!(CommandState {
    AwaitingApproval = "awaiting_approval", Queued = "queued", Sent = "sent", Accepted = "accepted",
    Deferred = "deferred", Started = "started", Succeeded = "succeeded", Failed = "failed",
    Refused = "refused", Expired = "expired", Cancelled = "cancelled", Unknown = "unknown",
});

impl CommandState {
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Refused | Self::Expired | Self::Cancelled | Self::Unknown
        )
    }
}

/// A remote command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    pub id: CommandId,
    pub kiosk: KioskId,
    pub action: String,
    /// JSON object text.
    pub args: String,
    pub actor: String,
    pub approver: Option<String>,
    pub ticket: Option<Uuid>,
    pub state: CommandState,
    pub counter: u64,
    pub requested_at: Timestamp,
    pub issued_at: Option<Timestamp>,
    pub not_after: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub attempts: u32,
    pub finished_at: Option<Timestamp>,
    pub reason: Option<String>,
    /// JSON text.
    pub result: Option<String>,
}

/// A step of a command, for people who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEventRow {
    pub command: CommandId,
    pub at: Timestamp,
    pub state: CommandState,
    pub step: String,
    pub percent: Option<u8>,
    pub line: Option<String>,
}
