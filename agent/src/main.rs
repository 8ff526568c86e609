//! The agent's program; everything is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    kioskwatch_agent::cli::main_with_args(std::env::args_os())
}
