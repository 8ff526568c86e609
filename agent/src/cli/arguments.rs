//! The words after the program's name: what is asked, or what is wrong with them. Pure.
//!
//! By hand: a parser for any command line is larger than the agent's own engine.
use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf};

/// One page for every command.
pub(super) const HELP: &str = "\
Watches the devices of one kiosk and tells its server

Usage: kioskwatch-agent <COMMAND>

Commands:
  run [--config <FILE>]             Run until SIGTERM
  check-config [--config <FILE>]    Say what is wrong with the configuration, or print what is in effect
  probe --once [--config <FILE>]    Ask every owned device once and print the answers as JSON lines
  journal export [--config <FILE>]  Print every record as a JSON line; the agent may be running
  config sample                     Print the commented sample
  help                              Print this message

Options:
      --config <FILE>  The TOML file; without it the environment names the required keys
      --once           Required by probe: the agent itself asks again and again
  -h, --help           Print help
  -V, --version        Print version
";

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Run(ConfigFile),
    CheckConfig(ConfigFile),
    Probe(ConfigFile),
    JournalExport(ConfigFile),
    ConfigSample,
    Help,
    Version,
}

/// The argument of `--config`; `None` leaves everything to the environment.
pub(super) type ConfigFile = Option<PathBuf>;

/// Why the words make no command.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsageError {
    #[error("a command is missing")]
    NoCommand,
    #[error("there is no command '{0}'")]
    UnknownCommand(String),
    #[error("'{command}' is half a command: '{command} {rest}' is right")]
    Incomplete { command: &'static str, rest: &'static str },
    #[error("'probe' needs '--once': the agent itself asks again and again")]
    OnceMissing,
    #[error("'{argument}' means nothing to '{command}', which takes {takes}")]
    Unexpected { argument: String, command: &'static str, takes: &'static str },
    #[error("'--config' needs the path of a file")]
    NoFile,
    #[error("'{0}' stands there twice")]
    Twice(&'static str),
}

/// The commands as they are written; the second word of the first two is part of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    JournalExport,
    ConfigSample,
    Run,
    CheckConfig,
    Probe,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::CheckConfig => "check-config",
            Self::Probe => "probe",
            Self::JournalExport => "journal export",
            Self::ConfigSample => "config sample",
        }
    }

    fn takes(self) -> &'static str {
        match self {
            Self::Run | Self::CheckConfig | Self::JournalExport => "'--config <FILE>' only",
            Self::Probe => "'--once' and '--config <FILE>' only",
            Self::ConfigSample => "nothing",
        }
    }
}

/// Reads the words that follow the program's name.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut words = words.into_iter();
    let Some(first) = words.next() else { return Err(UsageError::NoCommand) };
    let verb = match first.to_str() {
        Some("run") => Verb::Run,
        Some("check-config") => Verb::CheckConfig,
        Some("probe") => Verb::Probe,
        Some("journal") => match second(&mut words, "journal", "export")? {
            Some(help) => return Ok(help),
            None => Verb::JournalExport,
        },
        Some("config") => match second(&mut words, "config", "sample")? {
            Some(help) => return Ok(help),
            None => Verb::ConfigSample,
        },
        Some("help" | "--help" | "-h") => return Ok(Command::Help),
        Some("--version" | "-V") => return Ok(Command::Version),
        _ => return Err(UsageError::UnknownCommand(shown(&first))),
    };
    options(verb, words)
}

/// The second word of a command of two: `None` when it is the right one.
fn second(
    words: &mut impl Iterator<Item = OsString>,
    command: &'static str,
    rest: &'static str,
) -> Result<Option<Command>, UsageError> {
    match words.next() {
        Some(word) if word == rest => Ok(None),
        Some(word) if is_help(&word) || word == "help" => Ok(Some(Command::Help)),
        Some(word) if !word.as_encoded_bytes().starts_with(b"-") => {
            Err(UsageError::UnknownCommand(format!("{command} {}", shown(&word))))
        }
        _ => Err(UsageError::Incomplete { command, rest }),
    }
}

fn options(verb: Verb, mut words: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
    let (mut file, mut once) = (None, false);
    while let Some(word) = words.next() {
        if is_help(&word) {
            return Ok(Command::Help);
        }
        if verb == Verb::Probe && word == "--once" {
            if std::mem::replace(&mut once, true) {
                return Err(UsageError::Twice("--once"));
            }
        } else if verb != Verb::ConfigSample
            && let Some(attached) = config_option(&word)
        {
            let path = attached.or_else(|| words.next()).filter(is_path);
            let path = path.ok_or(UsageError::NoFile)?;
            if file.replace(PathBuf::from(path)).is_some() {
                return Err(UsageError::Twice("--config"));
            }
        } else {
            let (command, takes) = (verb.name(), verb.takes());
            return Err(UsageError::Unexpected { argument: shown(&word), command, takes });
        }
    }
    match verb {
        Verb::Run => Ok(Command::Run(file)),
        Verb::CheckConfig => Ok(Command::CheckConfig(file)),
        Verb::Probe if once => Ok(Command::Probe(file)),
        Verb::Probe => Err(UsageError::OnceMissing),
        Verb::JournalExport => Ok(Command::JournalExport(file)),
        Verb::ConfigSample => Ok(Command::ConfigSample),
    }
}

/// Whether this is `--config`, and what `--config=…` carries with it.
fn config_option(word: &OsString) -> Option<Option<OsString>> {
    let rest = word.as_encoded_bytes().strip_prefix(b"--config")?;
    match rest {
        [] => Some(None),
        // A path need not be UTF-8.
        [b'=', path @ ..] => Some(Some(OsString::from_vec(path.to_vec()))),
        _ => None,
    }
}

/// Not the next option, which would stand there when the path was forgotten.
fn is_path(word: &OsString) -> bool {
    !word.is_empty() && !word.as_encoded_bytes().starts_with(b"-")
}

fn is_help(word: &OsString) -> bool {
    word == "--help" || word == "-h"
}

fn shown(word: &OsString) -> String {
    word.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_command_of_the_page_is_understood() {
        let file = || Some(PathBuf::from("a.toml"));
        let table = [
            ("run", Command::Run(None)),
            ("run --config a.toml", Command::Run(file())),
            ("run --config=a.toml", Command::Run(file())),
            ("check-config --config a.toml", Command::CheckConfig(file())),
            ("probe --once", Command::Probe(None)),
            ("probe --config a.toml --once", Command::Probe(file())),
            ("probe --once --config=a.toml", Command::Probe(file())),
            ("journal export --config a.toml", Command::JournalExport(file())),
            ("config sample", Command::ConfigSample),
            ("--version", Command::Version),
            ("-V", Command::Version),
        ];
        for (line, command) in table {
            assert_eq!(parsed(line), Ok(command), "{line}");
        }
        for help in
            ["help", "-h", "--help", "help run", "run --help", "probe -h", "journal -h", "config help"]
        {
            assert_eq!(parsed(help), Ok(Command::Help), "{help}");
        }
    }

    #[test]
    fn a_path_that_is_no_text_is_taken_as_it_is() {
        let path = OsString::from_vec(b"/etc/\xff.toml".to_vec());
        let mut attached = OsString::from("--config=");
        attached.push(&path);
        let command = Command::Run(Some(PathBuf::from(path.clone())));
        assert_eq!(parse(["run".into(), attached]), Ok(command.clone()));
        assert_eq!(parse(["run".into(), "--config".into(), path]), Ok(command));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let table = [
            ("", "a command is missing"),
            ("runn", "there is no command 'runn'"),
            ("--config a.toml run", "there is no command '--config'"),
            ("journal", "'journal' is half a command: 'journal export' is right"),
            ("config --config a.toml", "'config' is half a command: 'config sample' is right"),
            ("journal import", "there is no command 'journal import'"),
            ("probe", "'probe' needs '--once': the agent itself asks again and again"),
            ("run --confg a.toml", "'--confg' means nothing to 'run', which takes '--config <FILE>' only"),
            (
                "run --configuration",
                "'--configuration' means nothing to 'run', which takes '--config <FILE>' only",
            ),
            ("run --once", "'--once' means nothing to 'run', which takes '--config <FILE>' only"),
            ("probe now", "'now' means nothing to 'probe', which takes '--once' and '--config <FILE>' only"),
            ("config sample --config a", "'--config' means nothing to 'config sample', which takes nothing"),
            ("run --config", "'--config' needs the path of a file"),
            ("run --config=", "'--config' needs the path of a file"),
            ("probe --config --once", "'--config' needs the path of a file"),
            ("run --config a --config=b", "'--config' stands there twice"),
            ("probe --once --once", "'--once' stands there twice"),
        ];
        for (line, sentence) in table {
            assert_eq!(parsed(line).map_err(|e| e.to_string()), Err(sentence.to_owned()), "{line}");
        }
    }
}
