//! A real Mosquitto at its defaults, on a free port.
pub use super::broker::{Broker as Mosquitto, free_port};
