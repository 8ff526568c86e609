//! Proof: device emulators, a harness for the whole stack, the demo and the load generator.
pub mod demo;
pub mod emulator;
pub mod harness;
pub mod load;
pub mod roles;
pub mod sim;
