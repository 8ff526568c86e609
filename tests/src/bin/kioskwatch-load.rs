//! `kioskwatch-load`: see `kioskwatch_tests::load`.
use std::process::ExitCode;

fn main() -> ExitCode {
    kioskwatch_tests::load::main()
}
