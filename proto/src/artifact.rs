//! Progress lines for people who watch, and what is too large for a journal record.
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    CommandId, Timestamp,
    limits::{MAX_CHUNK_BYTES, MAX_FILE_NAME_LEN},
    payload::{Payload, PayloadError, check_count},
    text::{clean, clean_option},
};

/// How far a command has come. Nothing depends on its arrival: the result is a journal record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub command: CommandId,
    pub at: Timestamp,
    pub step: String,
    /// 0 … 100, when the agent can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

impl Payload<'_> for Progress {
    fn settle(&mut self) -> Result<(), PayloadError> {
        clean(&mut self.step);
        clean_option(&mut self.line);
        self.percent = self.percent.map(|p| p.min(100));
        Ok(())
    }
}

/// One numbered chunk of a file made by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub command: CommandId,
    /// A file name without folders: letters, digits, `.`, `_`, `-`, not beginning with a dot.
    pub name: String,
    /// 1 … `parts`.
    pub part: u32,
    pub parts: u32,
    /// Of the whole file, hex.
    pub sha256: String,
    /// This chunk, standard base64.
    pub data: String,
}

impl Artifact {
    pub fn encode_chunk(chunk: &[u8]) -> String {
        STANDARD.encode(chunk)
    }

    /// The bytes of this chunk; `None` when `data` is no base64.
    pub fn chunk(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.data).ok()
    }
}

impl Payload<'_> for Artifact {
    fn settle(&mut self) -> Result<(), PayloadError> {
        // The name becomes part of a path on the server.
        let letters = self.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if self.name.is_empty()
            || self.name.len() > MAX_FILE_NAME_LEN
            || self.name.starts_with('.')
            || !letters
        {
            return Err(PayloadError::field("name", "no plain file name"));
        }
        if self.part == 0 || self.part > self.parts {
            let (part, parts) = (self.part, self.parts);
            return Err(PayloadError::field("part", format_args!("{part} is not within 1 to {parts}")));
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(PayloadError::field("sha256", "not 64 hex digits"));
        }
        let chunk = self.chunk().ok_or_else(|| PayloadError::field("data", "not base64"))?;
        check_count("data", chunk.len(), MAX_CHUNK_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_payload;

    #[test]
    fn a_chunk_cannot_name_a_path_or_a_part_that_is_not() {
        let good = Artifact {
            command: "0193a3a0-0000-7000-8000-000000000001".parse().unwrap(),
            name: "diagnostics.tar.gz".into(),
            part: 1,
            parts: 1,
            sha256: "0".repeat(64),
            data: Artifact::encode_chunk(b"abc"),
        };
        let parse = |artifact: &Artifact| {
            let text = serde_json::to_string(artifact).unwrap();
            parse_payload::<Artifact>(text.as_bytes())
        };
        assert_eq!(parse(&good).unwrap().chunk().unwrap(), b"abc");
        let bad = [
            Artifact { name: "../etc/passwd".into(), ..good.clone() },
            Artifact { name: ".bashrc".into(), ..good.clone() },
            Artifact { name: "a/b".into(), ..good.clone() },
            Artifact { name: String::new(), ..good.clone() },
            Artifact { part: 0, ..good.clone() },
            Artifact { part: 2, ..good.clone() },
            Artifact { sha256: "0".into(), ..good.clone() },
            Artifact { data: "*".into(), ..good.clone() },
            Artifact { data: Artifact::encode_chunk(&vec![0; MAX_CHUNK_BYTES + 1]), ..good },
        ];
        for artifact in bad {
            assert_eq!(parse(&artifact).unwrap_err().reason(), "bad_field");
        }
    }
}
