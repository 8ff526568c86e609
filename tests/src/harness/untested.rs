//! What a machine does not let a test do: the test says so, and the test command says it once more at its end.
use std::{fs::OpenOptions, io::Write as _};

/// Names a file for these sentences; without it they are printed only.
pub const LIST: &str = "KIOSKWATCH_NOT_TESTED";

/// The calling test proves nothing on this machine, for this reason.
///
/// # Panics
/// When the list is asked for and cannot be written: then nobody would know.
pub fn not_tested_here(why: &str) {
    let thread = std::thread::current();
    let sentence = format!("not tested here: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Around the test program, which keeps to itself what a green test prints.
    let _ = std::io::stderr().write_all(sentence.as_bytes());
    if let Some(list) = std::env::var_os(LIST) {
        let opened = OpenOptions::new().create(true).append(true).open(&list);
        let written = opened.and_then(|mut list| list.write_all(sentence.as_bytes()));
        written.expect("the list of what was not tested takes a line");
    }
}

/// For a test that mounts a file system of its own.
pub fn only_root_can_mount() {
    not_tested_here("mounting takes root, and a machine that allows it");
}
