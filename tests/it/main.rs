//! The one integration binary: what the compiler cannot hold, and the whole stack from serial byte to page.
mod tidy;
