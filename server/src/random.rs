//! Randomness from the operating system, in one place.

/// Fills a fixed array. Without randomness from the kernel nothing safe can go on.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Uniform enough for jitter: `0 … limit-1`, 0 for a limit of 0.
pub fn below(limit: u64) -> u64 {
    if limit == 0 { 0 } else { u64::from_le_bytes(bytes()) % limit }
}
