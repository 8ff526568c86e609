//! A command, and how it goes.
use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{
    api::{Api, Failure, segment},
    print, show,
    table::clean,
    words::Words,
};

/// Characters of the bar.
const BAR: usize = 24;

pub(super) fn self_test(
    api: &Api,
    kiosk: &str,
    peripheral: Option<&str>,
    wait: bool,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let args = peripheral.map_or_else(|| json!({}), |name| json!({ "peripheral": name }));
    let path = format!("/kiosks/{}/commands", segment(kiosk));
    let made = api.post(&path, &json!({ "action": "self_test", "args": args }))?;
    let id = made["id"].as_str().ok_or_else(|| Failure::Strange("a command without an id".to_owned()))?;
    if !wait {
        print(&if as_json { show::json(&made) } else { format!("{id}\n") })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut screen = Screen::new(!as_json);
    let mut ended = None;
    for event in api.stream(&format!("/commands/{}/events", segment(id)))? {
        match event.name.as_str() {
            "progress" => screen.step(&event.data),
            "done" => ended = Some(event.data),
            _ => {}
        }
    }
    screen.end();
    // A stream that was cut says nothing; the command itself does.
    let command = match ended {
        Some(command) => command,
        None => api.get(&format!("/commands/{}", segment(id)), &[])?,
    };
    let state = command["state"].as_str().unwrap_or("unknown");
    if as_json {
        print(&show::json(&command))?;
    } else {
        let reason = command["reason"].as_str().map(|reason| format!(": {}", Words::Outcome.tell(reason)));
        let (state, reason) = (Words::Listed.tell(state), reason.unwrap_or_default());
        print(&format!("{}\n", clean(&format!("self-test of {kiosk} {state}{reason}"))))?;
        if let Some(fields) = command["result"].as_object() {
            for (name, value) in fields {
                let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                print(&format!("{}\n", clean(&format!("  {name}: {value}"))))?;
            }
        }
    }
    Ok(if state == "succeeded" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Progress on the error stream, so that the answer stays alone: one moving line on a terminal, lines in a log.
struct Screen {
    shown: bool,
    moves: bool,
    written: bool,
}

impl Screen {
    fn new(shown: bool) -> Self {
        Self { shown, moves: std::io::stderr().is_terminal(), written: false }
    }

    fn step(&mut self, step: &Value) {
        if !self.shown {
            return;
        }
        let text = line(step);
        let mut out = std::io::stderr();
        // Nobody to show it to is no reason to stop.
        let _ = if self.moves { write!(out, "\r\x1b[K{text}") } else { writeln!(out, "{text}") };
        let _ = out.flush();
        self.written = true;
    }

    fn end(&self) {
        if self.moves && self.written {
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn line(step: &Value) -> String {
    let percent = step["percent"].as_u64().map(|percent| usize::try_from(percent.min(100)).unwrap_or(100));
    let full = percent.unwrap_or(0) * BAR / 100;
    let number = percent.map_or_else(|| "   -".to_owned(), |percent| format!("{percent:3}%"));
    let told = |field: &str, words: Words| step[field].as_str().map(|text| words.tell(text));
    let words = [told("step", Words::Step), told("line", Words::Outcome)];
    let words = words.into_iter().flatten().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" · ");
    format!("[{}{}] {number} {}", "#".repeat(full), "-".repeat(BAR - full), clean(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line_with_a_bar() {
        let step = json!({ "percent": 50, "step": "cut", "line": "slip\n\u{1b}[2J" });
        assert_eq!(line(&step), "[############------------]  50% cut · slip  [2J");
        assert_eq!(line(&json!({ "step": "accepted" })), "[------------------------]    - accepted");
    }
}
