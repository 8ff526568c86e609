//! The whole stack on free ports: real processes, a real broker, a real database, emulated devices.
//!
//! The demo plays on it and the journeys test on it. Everything a test starts ends with its handle.
pub mod api;
pub mod application;
mod ballast;
pub mod broker;
pub mod client;
pub mod image_disk;
pub mod kiosk;
pub mod machine;
pub mod monitoring;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod server;
pub mod stack;
pub mod tls;
pub mod tmpfs;
pub mod untested;
pub mod wait;
