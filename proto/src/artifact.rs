//! Progress lines for people who watch, and what is too large for a journal record.
use serde::{Deserialize, Serialize};

use crate::{CommandId, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub command: CommandId,
    pub at: Timestamp,
    pub step: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// One numbered chunk of a file made by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub command: CommandId,
    pub name: String,
    /// 1 … `parts`.
    pub part: u32,
    pub parts: u32,
    /// Of the whole file, hex.
    pub sha256: String,
    /// This chunk, standard base64.
    pub data: String,
}
