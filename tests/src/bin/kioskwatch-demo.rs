//! `kioskwatch-demo`: see `kioskwatch_tests::demo`.
use std::process::ExitCode;

fn main() -> ExitCode {
    kioskwatch_tests::demo::main()
}
