//! For tests and simulations of this and other packages; nothing here runs in a server.
pub mod memory_store;
