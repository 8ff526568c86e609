//! The drivers from outside, through the trait alone: recorded exchanges, public frames, random lines.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]
mod bench;
mod folders;
mod properties;
mod transcripts;
mod vectors;
