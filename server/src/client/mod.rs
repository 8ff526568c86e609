//! The operator's client of the HTTP API: the same questions as in the console, for terminals and scripts.
//!
//! Knows: the API's paths and field names. Must not know: the server's insides; it could as well be another
//! program. Every answer can be had as the API gave it (`--json`).
mod api;
mod command;
mod show;
mod table;
mod words;
mod zones;

use std::{ffi::OsString, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::{
    api::{Api, Failure},
    zones::Zones,
};

/// Kiosks, tickets, uptime and self-tests of a fleet, from a terminal.
#[derive(Debug, Parser)]
#[command(name = "kioskwatch", version, max_term_width = 100)]
struct Arguments {
    /// Address of the server's API. Default: KIOSKWATCH_SERVER, or http://127.0.0.1:8080.
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// File with the access token; KIOSKWATCH_TOKEN may hold the token itself.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate authority of the server, PEM. Default: the public ones.
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the API's JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// The kiosks of the fleet as they are now.
    Kiosks {
        /// Only those of this site, by its id.
        #[arg(long)]
        site: Option<String>,
        /// Only those that are so: unknown, online, late, offline.
        #[arg(long)]
        presence: Option<String>,
    },
    /// One kiosk.
    Kiosk {
        /// The kiosk's id.
        id: String,
    },
    /// Tickets that are open, also resolved ones that wait to close; newest first.
    Tickets {
        /// Only those of this kiosk, by its id.
        #[arg(long)]
        kiosk: Option<String>,
        /// Only those of this site, by its id.
        #[arg(long)]
        site: Option<String>,
        /// Only those in this state, like new or resolved; also closed ones.
        #[arg(long)]
        state: Option<String>,
        /// Closed ones as well.
        #[arg(long)]
        all: bool,
    },
    /// One ticket with its clocks and history.
    Ticket {
        /// The ticket's number, like 12, or its id: the last column of `tickets`.
        ticket: String,
    },
    /// Uptime figures of the running month, another month, or a span.
    Uptime {
        /// Of what: kiosk, site, region, customer, engineer, model, fleet.
        #[arg(long, default_value = "fleet")]
        scope: String,
        /// Id or name of the scope.
        #[arg(long)]
        id: Option<String>,
        /// A month like 2026-10. Default: the running one.
        #[arg(long, conflicts_with_all = ["from", "to"])]
        month: Option<String>,
        /// Begin of a span, RFC 3339 like 2026-10-05T00:00:00+08:00.
        #[arg(long)]
        from: Option<String>,
        /// End of the span, RFC 3339; default now.
        #[arg(long, requires = "from")]
        to: Option<String>,
        /// By which ratio the worst kiosks of a group are named: on, avail (default), full.
        #[arg(long)]
        measure: Option<String>,
    },
    /// Inspections that are due.
    Inspections,
    /// Ask a kiosk to test itself. Moves parts: a printer prints a slip.
    SelfTest {
        /// The kiosk's id.
        kiosk: String,
        /// One peripheral; default all.
        #[arg(long)]
        peripheral: Option<String>,
        /// Do not wait for the end.
        #[arg(long)]
        no_wait: bool,
    },
}

/// Runs the client; 0 done, 1 failed, 2 wrong usage.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is an answer, anything else wrong usage; a closed terminal is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&arguments) {
        Ok(done) => done,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "kioskwatch: {}", table::clean(&failure.to_string()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let token = std::env::var("KIOSKWATCH_TOKEN").ok();
    let server = arguments.server.clone().or_else(|| std::env::var("KIOSKWATCH_SERVER").ok());
    let api = Api::new(server, token, arguments.token_file.as_deref(), arguments.ca_file.as_deref())?;
    let json = arguments.json;
    let zones = || api.all("/sites", &[]).map(|sites| Zones::of(&sites));
    let text = match &arguments.question {
        Question::Kiosks { site, presence } => {
            let query = [("site", site.as_deref()), ("presence", presence.as_deref())];
            let all = api.all("/kiosks", &query)?;
            if json { show::json(&all) } else { show::kiosks(&all, &zones()?) }
        }
        Question::Kiosk { id } => {
            let kiosk = api.get(&format!("/kiosks/{}", api::segment(id)), &[])?;
            if json { show::json(&kiosk) } else { show::kiosk(&kiosk, &zones()?) }
        }
        Question::Tickets { kiosk, site, state, all } => {
            let open = (!all && state.is_none()).then_some("true");
            let query = [
                ("kiosk", kiosk.as_deref()),
                ("site", site.as_deref()),
                ("state", state.as_deref()),
                ("open", open),
            ];
            let tickets = api.all("/tickets", &query)?;
            if json { show::json(&tickets) } else { show::tickets(&tickets, &zones()?) }
        }
        Question::Ticket { ticket } => {
            // As it stands on pages and in mails.
            let named = ticket.strip_prefix('#').unwrap_or(ticket);
            let ticket = api.get(&format!("/tickets/{}", api::segment(named)), &[])?;
            if json { show::json(&ticket) } else { show::ticket(&ticket, &zones()?) }
        }
        Question::Uptime { scope, id, month, from, to, measure } => {
            let query = [
                ("scope", Some(scope.as_str())),
                ("id", id.as_deref()),
                ("month", month.as_deref()),
                ("from", from.as_deref()),
                ("to", to.as_deref()),
                ("measure", measure.as_deref()),
            ];
            let figures = api.get_counted("/uptime", &query)?;
            if json { show::json(&figures) } else { show::uptime(&figures, &zones()?) }
        }
        Question::Inspections => {
            let due = api.all("/inspections", &[])?;
            if json { show::json(&due) } else { show::inspections(&due, &zones()?) }
        }
        Question::SelfTest { kiosk, peripheral, no_wait } => {
            return command::self_test(&api, kiosk, peripheral.as_deref(), !no_wait, json);
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // `kioskwatch kiosks | head` closes the pipe early, and that is fine.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_option_says_what_it_is() {
        let program = Arguments::command();
        for command in std::iter::once(&program).chain(program.get_subcommands()) {
            for option in command.get_arguments() {
                assert!(option.get_help().is_some(), "{} {}", command.get_name(), option.get_id());
            }
        }
    }

    #[test]
    fn wrong_usage_ends_with_2() {
        for wrong in [&["kioskwatch"][..], &["kioskwatch", "dance"], &["kioskwatch", "uptime", "--to", "x"]] {
            let error = Arguments::try_parse_from(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
