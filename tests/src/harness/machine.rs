//! The machine below a program: its disk may forget or fail, its wall clock may jump, while the program runs.
//!
//! A few lines of C stand between the program and libc, so that the product needs no switch for it.
use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SOURCE: &str = include_str!("machine.c");

/// How a disk takes the order to keep what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    #[default]
    Honest,
    /// Says yes and writes nothing through.
    Lies,
    /// Says no.
    Fails,
}

/// One machine; programs started with [`Self::env`] live on it.
#[derive(Debug)]
pub struct Machine {
    library: PathBuf,
    control: PathBuf,
}

impl Machine {
    /// An honest machine whose files lie in `dir`.
    ///
    /// # Errors
    /// Also when there is no C compiler, which the toolchain needs anyway.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let (source, library) = (dir.join("machine.c"), dir.join("machine.so"));
        std::fs::write(&source, SOURCE)?;
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source);
        let status = cc.stdin(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{cc:?}: {status}")));
        }
        Ok(Self { library, control: dir.join("machine.control") })
    }

    /// What a program needs in its environment to live here.
    pub fn env(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD", text(&self.library)), ("KIOSKWATCH_MACHINE", text(&self.control))]
    }

    /// From now on.
    pub fn set(&self, sync: Sync, clock_ms: i64) -> io::Result<()> {
        let sync = match sync {
            Sync::Honest => "",
            Sync::Lies => "sync=lie\n",
            Sync::Fails => "sync=fail\n",
        };
        // Replaced in one step: a reader sees the one or the other.
        let next = self.control.with_extension("next");
        std::fs::write(&next, format!("{sync}clock_ms={clock_ms}\n"))?;
        std::fs::rename(next, &self.control)
    }
}
