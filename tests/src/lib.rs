//! Proof: device emulators, a harness for the whole stack, the demo, the load generator, the simulation and the
//! kill loop.
pub mod chaos;
pub mod demo;
pub mod emulator;
pub mod harness;
pub mod load;
pub mod roles;
pub mod sim;
pub mod treachery;
