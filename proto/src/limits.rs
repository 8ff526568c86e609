//! Named limits of the wire. Whoever hits one is told which, and a counter says how often.

/// Identifiers: kiosks, sites, peripherals.
pub const MAX_NAME_LEN: usize = 64;
/// One MQTT payload.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// MQTT packet: payload, topic and properties.
pub const MAX_PACKET_BYTES: usize = MAX_PAYLOAD_BYTES + 4 * 1024;
/// The `result` of a command record, as JSON text.
pub const MAX_RESULT_BYTES: usize = 32 * 1024;
/// One journal record as JSON text: a result and its envelope fit, and a batch of one fits a payload.
pub const MAX_RECORD_BYTES: usize = 40 * 1024;
/// Any counted number (`seq`, `mono_ms`, `duration_ms` …): 2^53 - 1, exact in every JSON reader and in BIGINT.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;
/// The `peripherals` of a heartbeat or a snapshot as JSON text: what bears them fits a payload and a record.
pub const MAX_STATES_BYTES: usize = 32 * 1024;
/// Journal records sent and not yet acknowledged.
pub const MAX_IN_FLIGHT_RECORDS: u64 = 100;
/// Free text from devices and people: fault texts, reasons.
pub const MAX_TEXT_CHARS: usize = 1_000;
/// Why something was refused: quotes what came in, and a hundred of them fit one ack.
pub const MAX_REASON_CHARS: usize = 120;
/// Refused records named in one ack; the numbers of all are used up, named or not.
pub const MAX_REJECTED_PER_ACK: usize = 100;
/// Raw device bytes kept beside a fault.
pub const MAX_RAW_BYTES: usize = 256;
/// Peripherals of one kiosk; the terminal itself (`host`) stands beside them.
pub const MAX_PERIPHERALS: usize = 64;
/// Faults of one peripheral at one time.
pub const MAX_FAULTS_PER_PERIPHERAL: usize = 64;
/// A word of an open vocabulary (status, fault code, record kind).
pub const MAX_WORD_LEN: usize = 64;
/// A device time may be this far ahead of the server's before it counts as wrong.
pub const MAX_FUTURE_MS: i64 = 2 * 60 * 1000;
/// A heartbeat interval an agent may announce, in seconds.
pub const HEARTBEAT_INTERVAL_S: std::ops::RangeInclusive<u32> = 1..=3600;
/// `not_after` of a command that moves parts or restarts something is at most this far away.
pub const MAX_DISRUPTIVE_WINDOW_MS: i64 = 10 * 60 * 1000;
/// An agent keeps the ids of commands this long after their `not_after`.
pub const KEEP_COMMAND_IDS_MS: i64 = 24 * 60 * 60 * 1000;
/// After connecting, an agent waits this long for the server's ack before it sends.
pub const WAIT_FOR_ACK_MS: u64 = 10_000;
/// At most one resend of the journal in this time.
pub const RESEND_PAUSE_MS: u64 = 1_000;
/// The facts of `PUT /v1/busy` hold at most this long, in seconds.
pub const BUSY_VALID_S: std::ops::RangeInclusive<u32> = 1..=10;
/// A pushed peripheral state may be believed this long, in seconds: an application that says nothing for a day
/// knows nothing.
pub const PUSHED_VALID_S: std::ops::RangeInclusive<u32> = 1..=86_400;
/// The kiosk application lends a port for this long at once, in seconds.
pub const LEASE_S: std::ops::RangeInclusive<u32> = 1..=3600;
/// Characters of a file name in an artifact.
pub const MAX_FILE_NAME_LEN: usize = 128;
/// Whole payload of one artifact chunk before base64.
pub const MAX_CHUNK_BYTES: usize = 40 * 1024;
