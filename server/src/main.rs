//! `kioskwatch-server`: see `kioskwatch_server::cli`.
use std::process::ExitCode;

fn main() -> ExitCode {
    kioskwatch_server::cli::main(std::env::args_os())
}
