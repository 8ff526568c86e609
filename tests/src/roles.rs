//! One executable, several programs: the demo and the tests start the real agent, server and broker as
//! processes of their own by running themselves again. Killing and restarting them is part of the story.
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Which program a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Agent,
    Server,
    /// See [`crate::treachery`].
    TreacherousBroker,
}

impl Role {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "__agent",
            Self::Server => "__server",
            Self::TreacherousBroker => "__treacherous-broker",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Agent => "kioskwatch-agent",
            Self::Server => "kioskwatch-server",
            Self::TreacherousBroker => "treacherous-broker",
        }
    }
}

/// If the first argument names a role, runs that program to its end.
pub fn play(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    let word = args.next()?;
    let role =
        [Role::Agent, Role::Server, Role::TreacherousBroker].into_iter().find(|role| word == role.word())?;
    let args = std::iter::once(OsString::from(role.program())).chain(args);
    Some(match role {
        Role::Agent => kioskwatch_agent::cli::main_with_args(args),
        Role::Server => kioskwatch_server::cli::main(args),
        Role::TreacherousBroker => crate::treachery::main(args),
    })
}

/// Where a program of the product is.
#[derive(Debug, Clone)]
pub enum Executable {
    /// An executable of ours that plays its role.
    Player(PathBuf),
    /// As it is shipped.
    Shipped(PathBuf),
}

impl Executable {
    pub fn path(&self) -> &Path {
        let (Self::Player(path) | Self::Shipped(path)) = self;
        path
    }

    /// What stands before the program's own arguments.
    pub fn role(&self, role: Role) -> Option<&'static str> {
        matches!(self, Self::Player(_)).then(|| role.word())
    }
}
