//! Remote commands: signed, expiring, once-only. No verb here moves cash.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    CommandId, KioskId, Timestamp,
    limits::MAX_DISRUPTIVE_WINDOW_MS,
    payload::{Payload, PayloadError, check_number, parse_payload},
    words::closed_vocabulary,
};

/// Separates our signatures from anything else the key might ever sign.
const DOMAIN: &[u8] = b"kioskwatch-command-v1\0";

closed_vocabulary!(
    /// Everything that can be asked of an agent.
    Action {
        Probe = "probe",
        Identify = "identify",
        SelfTest = "self_test",
        ResetPeripheral = "reset_peripheral",
        CollectDiagnostics = "collect_diagnostics",
        ReadLog = "read_log",
        PingNetwork = "ping_network",
        RestartApplication = "restart_application",
        RestartAgent = "restart_agent",
        Reboot = "reboot",
    }
);

closed_vocabulary!(
    /// How far an action reaches.
    ActionClass {
        /// Only reads.
        Read = "R",
        /// Moves parts of a device or restarts the agent; a person asks for it.
        Safe = "S",
        /// Interrupts the service; a second person approves.
        Disruptive = "D",
    }
);

impl Action {
    pub const fn class(self) -> ActionClass {
        match self {
            Self::Probe | Self::Identify | Self::CollectDiagnostics | Self::ReadLog | Self::PingNetwork => {
                ActionClass::Read
            }
            Self::SelfTest | Self::RestartAgent => ActionClass::Safe,
            Self::ResetPeripheral | Self::RestartApplication | Self::Reboot => ActionClass::Disruptive,
        }
    }

    /// The longest time between `issued_at` and `not_after` that an agent accepts; `None` for reads.
    pub const fn max_window_ms(self) -> Option<i64> {
        match self.class() {
            ActionClass::Read => None,
            ActionClass::Safe | ActionClass::Disruptive => Some(MAX_DISRUPTIVE_WINDOW_MS),
        }
    }
}

/// What travels: the exact signed bytes and who signed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub v: u32,
    pub key: String,
    /// base64url without padding of the JSON text of a [`Command`].
    pub payload: String,
    /// base64url without padding of the Ed25519 signature.
    pub sig: String,
}

/// Nothing to check here: an envelope proves itself when it is opened.
impl Payload<'_> for Envelope {}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    pub kiosk: KioskId,
    /// Strictly rising per kiosk.
    pub counter: u64,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// An [`Action`]; a text here, so that an unknown one is refused by name.
    pub action: String,
    #[serde(default)]
    pub args: Map<String, Value>,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

impl Command {
    /// When it was asked for: signed again it is issued later, but keeps its id, which bears the time. One whose id
    /// bears none may be of any time.
    pub fn asked_at(&self) -> Timestamp {
        let made = self.id.0.get_timestamp().map(|time| {
            let (seconds, nanos) = time.to_unix();
            i64::try_from(seconds * 1000 + u64::from(nanos) / 1_000_000).unwrap_or(i64::MAX)
        });
        self.issued_at.min(Timestamp(made.unwrap_or(i64::MIN)))
    }
}

impl Payload<'_> for Command {
    fn settle(&mut self) -> Result<(), PayloadError> {
        check_number("counter", self.counter)
    }
}

/// Why an envelope proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the envelope is malformed")]
    Malformed,
    #[error("the envelope has an unknown version")]
    Version,
    #[error("unknown key")]
    UnknownKey,
    #[error("bad signature")]
    BadSignature,
}

/// A public key an agent trusts, as `key_id:base64url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    pub id: String,
    key: VerifyingKey,
}

/// What is wrong with the text of a trusted key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no trusted key: expected key_id:base64url of 32 bytes, an Ed25519 public key")]
pub struct TrustedKeyError {
    text: String,
}

impl std::str::FromStr for TrustedKey {
    type Err = TrustedKeyError;
    fn from_str(text: &str) -> Result<Self, TrustedKeyError> {
        let error = || TrustedKeyError { text: text.to_owned() };
        let (id, key) = text.split_once(':').ok_or_else(error)?;
        let bytes: [u8; 32] = URL_SAFE_NO_PAD
            .decode(key.trim_end_matches('='))
            .ok()
            .and_then(|b| b.try_into().ok())
            .ok_or_else(error)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| error())?;
        if id.is_empty() || key.is_weak() {
            return Err(error());
        }
        Ok(Self { id: id.to_owned(), key })
    }
}

impl Envelope {
    /// The command inside, if one of `trusted` signed exactly these bytes.
    pub fn open(&self, trusted: &[TrustedKey]) -> Result<Command, EnvelopeError> {
        if self.v != 1 {
            return Err(EnvelopeError::Version);
        }
        let key = trusted.iter().find(|k| k.id == self.key).ok_or(EnvelopeError::UnknownKey)?;
        let payload = URL_SAFE_NO_PAD.decode(&self.payload).map_err(|_| EnvelopeError::Malformed)?;
        let sig = URL_SAFE_NO_PAD.decode(&self.sig).map_err(|_| EnvelopeError::Malformed)?;
        let sig = Signature::from_slice(&sig).map_err(|_| EnvelopeError::Malformed)?;
        key.key.verify_strict(&signed_bytes(&payload), &sig).map_err(|_| EnvelopeError::BadSignature)?;
        parse_payload(&payload).map_err(|_| EnvelopeError::Malformed)
    }
}

fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    [DOMAIN, payload].concat()
}

/// Signs commands. Its secret is wiped on drop and never shown.
pub struct CommandSigner {
    id: String,
    key: SigningKey,
}

impl std::fmt::Debug for CommandSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandSigner").field("id", &self.id).finish_non_exhaustive()
    }
}

impl CommandSigner {
    pub fn from_secret(id: &str, secret: &[u8; 32]) -> Self {
        Self { id: id.to_owned(), key: SigningKey::from_bytes(secret) }
    }

    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// `key_id:base64url`, as agents list it under `[commands] keys`.
    pub fn public_text(&self) -> String {
        format!("{}:{}", self.id, URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes()))
    }

    pub fn sign(&self, command: &Command) -> Envelope {
        let payload = serde_json::to_vec(command).expect("a command has text keys and finite numbers");
        let sig = self.key.sign(&signed_bytes(&payload));
        Envelope {
            v: 1,
            key: self.id.clone(),
            payload: URL_SAFE_NO_PAD.encode(&payload),
            sig: URL_SAFE_NO_PAD.encode(sig.to_bytes()),
        }
    }
}

/// The next counter of a kiosk: above the last one, and above it too after a restored backup.
pub fn next_counter(last: u64, issued_at: Timestamp) -> u64 {
    last.saturating_add(1).max(u64::try_from(issued_at.ms()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> CommandSigner {
        CommandSigner::from_secret("k1", &[7; 32])
    }

    fn command() -> Command {
        Command {
            id: "0193a3a0-0000-7000-8000-000000000001".parse().unwrap(),
            kiosk: KioskId::new("K-1").unwrap(),
            counter: 5,
            issued_at: Timestamp(1_000),
            not_before: Timestamp(1_000),
            not_after: Timestamp(61_000),
            action: "self_test".into(),
            args: Map::new(),
            actor: "li".into(),
            approver: None,
            ticket: None,
        }
    }

    #[test]
    fn only_the_exact_signed_bytes_open() {
        let trusted = [signer().public_text().parse().unwrap()];
        let envelope = signer().sign(&command());
        assert_eq!(envelope.open(&trusted), Ok(command()));

        let payload = URL_SAFE_NO_PAD.decode(&envelope.payload).unwrap();
        for position in 0..payload.len() {
            let mut other = payload.clone();
            other[position] ^= 1;
            let forged = Envelope { payload: URL_SAFE_NO_PAD.encode(&other), ..envelope.clone() };
            assert_eq!(forged.open(&trusted), Err(EnvelopeError::BadSignature), "byte {position}");
        }
        let other_key = Envelope { key: "k2".into(), ..envelope.clone() };
        assert_eq!(other_key.open(&trusted), Err(EnvelopeError::UnknownKey));
        let other_version = Envelope { v: 2, ..envelope.clone() };
        assert_eq!(other_version.open(&trusted), Err(EnvelopeError::Version));
        let no_base64 = Envelope { sig: "???".into(), ..envelope };
        assert_eq!(no_base64.open(&trusted), Err(EnvelopeError::Malformed));
    }

    #[test]
    fn a_command_that_is_signed_again_is_as_old_as_its_id() {
        let id_of = |id: &str| Command { id: id.parse().unwrap(), ..command() };
        let asked = 0x0193_a3a0_1234;
        for (id, issued_at, expected) in [
            ("0193a3a0-1234-7000-8000-000000000001", asked + 60_000, asked),
            ("0193a3a0-1234-7fff-bfff-ffffffffffff", asked, asked),
            ("0193a3a0-1234-7000-8000-000000000001", asked - 1, asked - 1),
            ("0193a3a0-1234-4000-8000-000000000001", asked, i64::MIN),
        ] {
            let command = Command { issued_at: Timestamp(issued_at), ..id_of(id) };
            assert_eq!(command.asked_at(), Timestamp(expected), "{id} {issued_at}");
        }
    }

    #[test]
    fn a_signer_shows_no_secret() {
        assert_eq!(format!("{:?}", signer()), "CommandSigner { id: \"k1\", .. }");
    }

    #[test]
    fn trusted_keys_are_checked() {
        for bad in ["", "k1", "k1:", "k1:AAAA", ":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(bad.parse::<TrustedKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn counters_rise_after_a_restored_backup_too() {
        assert_eq!(next_counter(0, Timestamp(1_000)), 1_000);
        assert_eq!(next_counter(5_000, Timestamp(1_000)), 5_001);
        assert_eq!(next_counter(5, Timestamp(-1)), 6);
    }
}
