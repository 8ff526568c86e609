//! The contract, held against the code: golden payloads, the AsyncAPI document, and random input.
#[cfg(test)]
mod asyncapi;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod readme;
