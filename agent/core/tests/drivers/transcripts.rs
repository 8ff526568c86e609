//! Every recorded exchange under `src/drivers/*/testcases/`, run whole and byte by byte.
use std::path::{Path, PathBuf};

use kioskwatch_agent_core::drivers::{CannotDo, registry};

use crate::bench::{Bench, Step, parse_work, spaced_hex, text};

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(of)
        .unwrap_or_else(|e| panic!("{}: {e}", of.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_recorded_exchange_goes_as_recorded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/drivers");
    let mut failures = Vec::new();
    for driver in registry::DRIVERS {
        let cases = folders(&root.join(driver.name).join("testcases"));
        for situation in ["healthy", "garbled", "silent"] {
            assert!(
                cases.iter().any(|c| c.to_string_lossy().ends_with(situation)),
                "driver {} has no recording of a {situation} device",
                driver.name
            );
        }
        for case in cases {
            let script = std::fs::read_to_string(case.join("exchange.txt")).unwrap();
            for byte_by_byte in [false, true] {
                if let Err(e) = play(driver.name, &script, byte_by_byte) {
                    failures.push(format!("{} (byte by byte: {byte_by_byte}): {e}", case.display()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Plays one script; the error names the line.
fn play(driver: &str, script: &str, byte_by_byte: bool) -> Result<(), String> {
    let mut lines = script.lines().map(str::trim).enumerate().peekable();
    let mut options = registry::Options::new();
    while let Some((_, line)) = lines.next_if(|(_, l)| l.is_empty() || l.starts_with(['#', 'o'])) {
        if let Some(json) = line.strip_prefix("options ") {
            options = serde_json::from_str(json).map_err(|e| e.to_string())?;
        }
    }
    let mut bench = Bench::new(driver, &options);
    for (number, line) in lines {
        if !line.is_empty() && !line.starts_with('#') {
            play_line(&mut bench, line, byte_by_byte)
                .map_err(|e| format!("line {}: {line}: {e}", number + 1))?;
        }
    }
    match bench.step() {
        Step::Resting if bench.driver.working().is_none() => Ok(()),
        step => Err(format!("at the end: {}", step_text(&step))),
    }
}

fn play_line(bench: &mut Bench, line: &str, byte_by_byte: bool) -> Result<(), String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "begin" => bench.begin(parse_work(rest)).map_err(|e| format!("{e:?}")),
        "refused" => {
            let (work, why) = rest.split_once(' ').ok_or("which work, and why?")?;
            let refused = match bench.begin(parse_work(work)) {
                Ok(()) => "begun".to_owned(),
                Err(CannotDo::Unsupported) => "unsupported".to_owned(),
                Err(CannotDo::Occupied) => "occupied".to_owned(),
                Err(CannotDo::NotNow(why)) => why,
            };
            expect(why, &refused)
        }
        "idle" => expect(rest, if bench.driver.idle(bench.now) { "yes" } else { "no" }),
        "reopen" => {
            bench.driver.line_opened(bench.now);
            Ok(())
        }
        "wait" => {
            bench.wait(rest.parse().map_err(|_| "milliseconds")?);
            Ok(())
        }
        ">" => expect(&format!("sent {}", spaced_hex(&bytes(rest)?)), &step_text(&bench.step())),
        "<" => {
            let bytes = bytes(rest)?;
            for chunk in bytes.chunks(if byte_by_byte { 1 } else { bytes.len() }) {
                bench.receive(chunk);
            }
            Ok(())
        }
        "=" => expect(rest, &step_text(&bench.step())),
        other => Err(format!("what is {other:?}?")),
    }
}

fn step_text(step: &Step) -> String {
    match step {
        Step::Sent(bytes) => format!("sent {}", spaced_hex(bytes)),
        Step::Found(outcome) => text(outcome),
        Step::Resting => "nothing".to_owned(),
    }
}

fn expect(expected: &str, got: &str) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("got: {got}")) }
}

/// Hexadecimal bytes, or text in quotes with `\r`.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(quoted) => Ok(quoted.replace("\\r", "\r").into_bytes()),
        None => hex::decode(text.replace(' ', "")).map_err(|e| e.to_string()),
    }
}
