//! The retained birth and last will of an agent: hints for presence, never a verdict.
use serde::{Deserialize, Serialize};

use crate::{
    BootId, Epoch, SessionId, Timestamp,
    payload::{Payload, PayloadError},
    text::clean_option,
    words::closed_vocabulary,
};

closed_vocabulary!(
    /// What the connection says of itself.
    PresenceState {
        Online = "online",
        /// The broker's word for a connection it lost.
        Offline = "offline",
        /// The agent said goodbye.
        Planned = "planned",
    }
);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    pub state: PresenceState,
    /// The connection this belongs to; an `offline` of another session is ignored.
    pub session: SessionId,
    pub boot: BootId,
    pub epoch: Epoch,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Payload<'_> for Presence {
    fn settle(&mut self) -> Result<(), PayloadError> {
        clean_option(&mut self.reason);
        Ok(())
    }
}
