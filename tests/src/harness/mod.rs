//! What whole-stack tests are built from: real processes in temporary places, gone when the test is.
pub mod postgres;
