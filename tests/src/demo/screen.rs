//! What the visitor of the demo sees in the terminal.
use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::{options::Options, verdict::Verdict};

/// Lines of the story with their time, and one living line below them when it is a terminal.
#[derive(Debug, Clone)]
pub struct Screen {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    living: bool,
    summary: Mutex<String>,
}

/// For what goes wrong before there is a screen; several programs say it.
pub fn complain(problem: &str) {
    let program = std::env::args_os().next();
    let name =
        program.as_deref().map(Path::new).and_then(Path::file_name).unwrap_or(OsStr::new("kioskwatch"));
    let _ = writeln!(io::stderr(), "{}: {problem}", name.display());
}

/// Plain text for standard output.
pub fn tell(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

impl Screen {
    pub fn new() -> Self {
        let living = io::stdout().is_terminal();
        let shared = Shared { started: Instant::now(), living, summary: Mutex::new(String::new()) };
        Self { shared: Arc::new(shared) }
    }

    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    pub fn headline(&self, options: &Options) {
        self.raw(&format!(
            "Kioskwatch demo: {} terminals on {} sites, each with a printer, a UPS and a bill acceptor.\n\
             Times are short so that you can watch: heartbeats, ticks and probes every 1 s, a site hold of 3 s,\n\
             a recovery hold of 2 s. Real installations use 30 s, 60 s and 30 min.\n",
            options.kiosks,
            super::options::SITES,
        ));
    }

    /// One fact, one line.
    pub fn line(&self, text: &str) {
        let at = self.elapsed().as_secs_f32();
        self.raw(&format!("[{at:6.1} s] {text}\n"));
    }

    /// The living line: below the story on a terminal, now and then elsewhere.
    pub fn summary(&self, text: &str) {
        let mut summary = self.shared.summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *summary == text {
            return;
        }
        text.clone_into(&mut summary);
        if self.shared.living {
            let mut out = io::stdout().lock();
            let _ = write!(out, "\r\x1b[2K{text}").and_then(|()| out.flush());
        } else if !text.is_empty() {
            drop(summary);
            let at = self.elapsed().as_secs_f32();
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "[{at:6.1} s]    · {text}").and_then(|()| out.flush());
        }
    }

    fn raw(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = if self.shared.living {
            let summary = self.shared.summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            write!(out, "\r\x1b[2K{text}{summary}")
        } else {
            out.write_all(text.as_bytes())
        };
        let _ = out.flush();
    }

    pub fn table(&self, verdict: &Verdict) {
        self.summary("");
        self.raw(&format!("\n{verdict}"));
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}
