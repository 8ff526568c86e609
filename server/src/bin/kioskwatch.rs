//! `kioskwatch`: the operator's client, see `kioskwatch_server::client`.
use std::process::ExitCode;

fn main() -> ExitCode {
    kioskwatch_server::client::main(std::env::args_os())
}
