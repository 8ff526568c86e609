//! Answers as text for people.
use std::fmt::Write as _;

use kioskwatch_domain::uptime::Ratio;
use serde_json::Value;

use super::{
    table::{Table, clean},
    words::Words,
    zones::Zones,
};

/// As the API gave it.
pub(super) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A field as text, `-` where there is nothing.
fn text<'a>(value: &'a Value, path: &str) -> std::borrow::Cow<'a, str> {
    match value.pointer(path) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) if text.is_empty() => "-".into(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    }
}

/// An instant on the wall clock of the site that the row names.
fn time(row: &Value, path: &str, zones: &Zones) -> String {
    zones.told(row["site"].as_str(), &text(row, path))
}

/// A field in words for people.
fn word(value: &Value, path: &str, words: Words) -> String {
    words.tell(&text(value, path))
}

fn items(value: &Value) -> &[Value] {
    value["items"].as_array().map_or(&[], Vec::as_slice)
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// Faults of all peripherals as `printer: out of paper`.
fn faults(kiosk: &Value) -> String {
    let mut found = Vec::new();
    for (name, peripheral) in kiosk["peripherals"].as_object().into_iter().flatten() {
        let name = Words::Listed.tell(name);
        found.extend(faults_of(peripheral).map(|fault| format!("{name}: {fault}")));
    }
    if found.is_empty() { "-".to_owned() } else { found.join(", ") }
}

fn faults_of(peripheral: &Value) -> impl Iterator<Item = String> {
    list(peripheral, "faults").iter().filter_map(Value::as_str).map(|code| Words::Fault.tell(code))
}

/// Names with what a field holds; `None`: an instant, or what is told as it came.
type Fields = &'static [(&'static str, &'static str, Option<Words>)];

fn facts(of: &Value, fields: Fields, zones: &Zones) -> Table {
    let mut facts = Table::new(&[]);
    for (name, path, words) in fields {
        let told = words.map_or_else(|| time(of, path, zones), |words| word(of, path, words));
        facts.row(&[name, &told]);
    }
    facts
}

const OF_KIOSK: Fields = &[
    ("kiosk", "/id", None),
    ("site", "/site", None),
    ("engineer", "/engineer", None),
    ("model", "/model", None),
    ("serial no.", "/serial_no", None),
    ("admission", "/admission", Some(Words::Listed)),
    ("presence", "/presence/state", Some(Words::Listed)),
    ("  since", "/presence/since", None),
    ("  reason", "/presence/reason", Some(Words::Listed)),
    ("last seen", "/presence/last_seen_at", None),
    ("service", "/service", Some(Words::Listed)),
    ("  since", "/service_since", None),
    ("  cause", "/service_cause", Some(Words::Cause)),
    ("agent", "/agent_version", None),
];

const OF_TICKET: Fields = &[
    ("ticket", "/number", None),
    ("state", "/state", Some(Words::Listed)),
    ("fault", "/fault", Some(Words::Fault)),
    ("kiosk", "/kiosk", None),
    ("peripheral", "/peripheral", Some(Words::Listed)),
    ("site", "/site", None),
    ("severity", "/severity", Some(Words::Listed)),
    ("priority", "/priority", None),
    ("class", "/class", Some(Words::Listed)),
    ("source", "/source", Some(Words::Listed)),
    ("assignee", "/assignee", None),
    ("opened", "/opened_at", None),
    ("restored", "/t5", None),
    ("closed", "/t7", None),
    ("resolution", "/resolution", Some(Words::Ending)),
];

/// A resolved ticket is open until it closes.
fn open_tickets(kiosk: &Value) -> String {
    match kiosk["resolved_tickets"].as_u64() {
        Some(resolved @ 1..) => format!("{} ({resolved} resolved)", text(kiosk, "/open_tickets")),
        _ => text(kiosk, "/open_tickets").into_owned(),
    }
}

pub(super) fn kiosks(page: &Value, zones: &Zones) -> String {
    let mut table =
        Table::new(&["KIOSK", "SITE", "PRESENCE", "SERVICE", "OPEN TICKETS", "LAST SEEN", "FAULTS"]);
    for kiosk in items(page) {
        table.row(&[
            &text(kiosk, "/id"),
            &text(kiosk, "/site"),
            &word(kiosk, "/presence/state", Words::Listed),
            &word(kiosk, "/service", Words::Listed),
            &open_tickets(kiosk),
            &time(kiosk, "/presence/last_seen_at", zones),
            &faults(kiosk),
        ]);
    }
    table.text()
}

pub(super) fn kiosk(kiosk: &Value, zones: &Zones) -> String {
    let mut facts = facts(kiosk, OF_KIOSK, zones);
    facts.row(&["open tickets", &open_tickets(kiosk)]);
    let mut devices = Table::new(&["PERIPHERAL", "STATUS", "KIND", "MODE", "FAULTS"]);
    for (name, peripheral) in kiosk["peripherals"].as_object().into_iter().flatten() {
        let faults: Vec<String> = faults_of(peripheral).collect();
        let [status, kind, mode] =
            ["/status", "/kind", "/mode"].map(|path| word(peripheral, path, Words::Listed));
        devices.row(&[name, &status, &kind, &mode, &faults.join(", ")]);
    }
    format!("{}\n{}", facts.text().trim_start_matches('\n'), devices.text())
}

pub(super) fn tickets(page: &Value, zones: &Zones) -> String {
    let mut table = Table::new(&["NO.", "STATE", "P", "FAULT", "KIOSK", "SITE", "OPENED", "ID"]);
    for ticket in items(page) {
        table.row(&[
            &text(ticket, "/number"),
            &word(ticket, "/state", Words::Listed),
            &text(ticket, "/priority"),
            &word(ticket, "/fault", Words::Fault),
            &text(ticket, "/kiosk"),
            &text(ticket, "/site"),
            &time(ticket, "/opened_at", zones),
            &text(ticket, "/id"),
        ]);
    }
    table.text()
}

pub(super) fn ticket(ticket: &Value, zones: &Zones) -> String {
    let facts = facts(ticket, OF_TICKET, zones);
    let site = ticket["site"].as_str();
    let mut clocks = Table::new(&["CLOCK", "STATE", "DUE", "REMAINING S"]);
    for clock in list(ticket, "clocks") {
        clocks.row(&[
            &word(clock, "/name", Words::Listed),
            &word(clock, "/state", Words::Listed),
            &zones.told(site, &text(clock, "/due_at")),
            &text(clock, "/remaining_s"),
        ]);
    }
    let mut out = format!("{}\n{}\n", facts.text().trim_start_matches('\n'), clocks.text());
    for line in list(ticket, "history") {
        let moved = match (word(line, "/from", Words::Listed), word(line, "/to", Words::Listed)) {
            (from, to) if from == to || from == "-" => to,
            (from, to) => format!("{from} -> {to}"),
        };
        let at = zones.told(site, &text(line, "/at"));
        let (actor, action) = (word(line, "/actor", Words::Actor), word(line, "/action", Words::Listed));
        let reason = word(line, "/reason", Words::Reason);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", clean(&format!("{at}  {action}  {moved}  {actor}: {reason}")));
    }
    out
}

pub(super) fn uptime(figures: &Value, zones: &Zones) -> String {
    let mut table = Table::new(&["RATIO", "VALUE", "EXACT", "UP S", "OF S"]);
    for name in ["on", "avail", "full", "online"] {
        let ratio = &figures[name];
        let [exact, num, den] = ["/ratio", "/num", "/den"].map(|key| text(ratio, key));
        // As in the console: a second lost is never 100.00 %.
        let seconds = ratio["num"].as_i64().zip(ratio["den"].as_i64());
        let shown = seconds.map_or_else(String::new, |(num, den)| Ratio::new(num, den).display());
        table.row(&[name, &shown, &exact, &num, &den]);
    }
    let mut out = table.text();
    let (accountable, coverage, kiosks) =
        (text(figures, "/accountable_s"), text(figures, "/coverage"), text(figures, "/kiosks"));
    let low = if figures["insufficient_data"] == true { " (insufficient data)" } else { "" };
    let _ = writeln!(out, "\naccountable {accountable} s, coverage {coverage}{low}, kiosks {kiosks}");
    let version = match figures["version"].as_u64() {
        Some(version @ 1..) => format!("version {version}"),
        _ => "not signed yet".to_owned(),
    };
    let part = if figures["signed"] == false && version.starts_with('v') { ", not all kiosks" } else { "" };
    let _ = writeln!(out, "{version}{part}, as of {}", time(figures, "/as_of", zones));
    if figures["engineer"].is_object() {
        let _ = writeln!(
            out,
            "engineer {} without the customer's power, network and host",
            text(figures, "/engineer/ratio")
        );
    }
    for (name, target) in [("on", &figures["target_on"]), ("avail", &figures["target"])] {
        if target.is_object() {
            let word = |met: &Value| if met == true { "met" } else { "missed" };
            let _ = writeln!(
                out,
                "{name} target {}/{} {}: {} s left; one more hour down: {}, {}",
                text(target, "/num"),
                text(target, "/den"),
                word(&target["met"]),
                text(target, "/left_s"),
                text(target, "/after_one_hour/ratio"),
                word(&target["met_after_one_hour"]),
            );
        }
    }
    let _ = writeln!(
        out,
        "outages of avail {}, longest {} s, MTBF {} s, MTTR {} s",
        text(figures, "/outages/count"),
        text(figures, "/outages/longest_s"),
        text(figures, "/outages/mtbf_s"),
        text(figures, "/outages/mttr_s"),
    );
    let by_cause = figures.pointer("/outages/by_cause").and_then(Value::as_object);
    let not_told = figures.pointer("/outages/not_told_by_cause").and_then(Value::as_i64).unwrap_or(0);
    let never = (not_told == 0).then_some(0);
    for (cause, seconds) in figures["causes"].as_object().into_iter().flatten() {
        // A server of before does not tell how often, nor does a month that such a server signed.
        let times = by_cause.and_then(|by_cause| by_cause.get(cause).map_or(never, Value::as_i64));
        let times = times.map_or_else(String::new, |times| format!(", {times} outages"));
        let _ = writeln!(out, "down by {}: {seconds} s{times}", Words::Listed.tell(cause));
    }
    if not_told > 0 {
        let _ = writeln!(out, "not told by cause: {not_told} outages");
    }
    // A server of before knows the worst by availability only.
    let by = figures["worst_by"].as_str().map_or_else(|| "avail".to_owned(), clean);
    for one in list(figures, "worst") {
        let ratio = text(one, &format!("/{by}/ratio"));
        let (kiosk, down) = (text(one, "/kiosk"), text(one, "/down_s"));
        let _ = writeln!(out, "worst: {kiosk}  {by} {ratio}, down {down} s");
    }
    for problem in list(figures, "problems") {
        let _ = writeln!(out, "note: {}", clean(problem.as_str().unwrap_or("")));
    }
    out
}

pub(super) fn inspections(page: &Value, zones: &Zones) -> String {
    let mut table =
        Table::new(&["KIOSK", "KIND", "PERIOD", "STATE", "WINDOW FROM", "WINDOW TO", "REPORT DUE"]);
    for due in items(page) {
        table.row(&[
            &text(due, "/kiosk"),
            &word(due, "/kind", Words::Of("inspection")),
            &text(due, "/period"),
            &word(due, "/state", Words::Of("inspection")),
            &time(due, "/window_from", zones),
            &time(due, "/window_to", zones),
            &time(due, "/report_due_at", zones),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_with_their_version_their_target_and_how_much_is_known() {
        let zones = Zones::of(&serde_json::json!({}));
        let ratio = |ratio: &str| serde_json::json!({ "num": 9, "den": 10, "ratio": ratio });
        let target = serde_json::json!({
            "num": 995, "den": 1000, "met": false, "left_s": -7, "after_one_hour": ratio("0.800000"),
            "met_after_one_hour": false,
        });
        let lost = serde_json::json!({ "num": 9_999_999, "den": 10_000_000, "ratio": "1.000000" });
        let mut figures = serde_json::json!({
            "on": lost, "avail": ratio("0.900000"), "full": ratio("0.900000"),
            "online": ratio("0.900000"), "accountable_s": 10, "coverage": "0.500000",
            "insufficient_data": true, "kiosks": 3, "version": 2, "signed": true,
            "as_of": "2026-11-01T00:00:00.000Z", "target": target, "target_on": target,
            "outages": {
                "count": 6, "longest_s": 4, "mtbf_s": 9, "mttr_s": 1, "by_cause": { "power": 2 },
                "not_told_by_cause": 4,
            },
            "causes": { "hardware": 3, "power": 7 },
            "worst": [{ "kiosk": "K-7", "down_s": 3, "avail": ratio("0.700000") }],
            "engineer": ratio("0.950000"), "problems": ["K-1: evidence of before is gone"],
        });
        let told = uptime(&figures, &zones);
        for part in [
            " 99.99%  1.000000  9999999  10000000",
            "coverage 0.500000 (insufficient data)",
            "version 2, as of 2026-11-01",
            "on target 995/1000 missed: -7 s left",
            "avail target 995/1000 missed",
            "MTBF 9 s",
            "down by power: 7 s, 2 outages\n",
            "down by hardware: 3 s\n",
            "not told by cause: 4 outages\n",
            "worst: K-7  avail 0.700000, down 3 s",
            "engineer 0.950000",
            "note: K-1",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        figures["outages"]["not_told_by_cause"] = 0.into();
        assert!(uptime(&figures, &zones).contains("down by hardware: 3 s, 0 outages\n"));
        for (name, value) in [
            ("version", 0.into()),
            ("insufficient_data", Value::Bool(false)),
            ("signed", false.into()),
            ("outages", serde_json::json!({ "count": 6 })),
        ] {
            figures[name] = value;
        }
        let told = uptime(&figures, &zones);
        assert!(told.contains("not signed yet, as of") && !told.contains("insufficient"), "{told}");
        assert!(
            told.contains("down by power: 7 s\n") && !told.contains("not told"),
            "an older server: {told}"
        );
    }

    #[test]
    fn tables_say_what_the_console_says_and_json_what_the_api_says() {
        let zones = Zones::of(&serde_json::json!({}));
        let kiosk = serde_json::json!({
            "id": "K-1", "site": "open", "model": "last_will", "admission": "accepted", "service": "out_of_service",
            "presence": { "state": "offline", "reason": "last_will" }, "service_cause": "printer: paper_out",
            "peripherals": { "printer": {
                "status": "online", "kind": "card_reader", "mode": "owned", "faults": ["paper_out", "ours_alone"],
            } },
        });
        let ticket = serde_json::json!({
            "number": 7, "state": "on_site", "fault": "paper_out", "peripheral": "bill_acceptor", "class": "operator",
            "resolution": "self_recovered", "clocks": [{ "name": "write_off", "state": "running" }],
            "history": [
                { "to": "new", "action": "open", "actor": "rule", "reason": "last_will of mine" },
                { "from": "new", "to": "on_site", "action": "fault_back", "actor": "li" },
            ],
        });
        let due = serde_json::json!({ "kind": "onsite", "state": "not_due" });
        let list = |row: &Value| serde_json::json!({ "items": [row] });
        let told = [
            super::kiosks(&list(&kiosk), &zones),
            super::kiosk(&kiosk, &zones),
            tickets(&list(&ticket), &zones),
            super::ticket(&ticket, &zones),
            inspections(&list(&due), &zones),
        ];
        let says = |n: usize, parts: &[&str]| {
            for part in parts {
                assert!(told[n].contains(part), "{part}: {}", told[n]);
            }
        };
        let catalogue = kioskwatch_proto::faults::Catalogue::built_in();
        let paper_out =
            &catalogue.get(&kioskwatch_proto::faults::FaultCode::new("paper_out").unwrap()).unwrap().en;
        says(0, &["offline", "out of service", &format!("printer: {paper_out}, printer: ours_alone")]);
        says(1, &["connection lost", &format!("printer: {paper_out}"), "owned by the agent", "card reader"]);
        says(1, &["site          open", "model         last_will"]);
        says(2, &["on site", paper_out]);
        says(3, &["healed by itself", "bill acceptor", "Write-off", "fault back  new -> on site  li"]);
        says(3, &["last_will of mine"]);
        says(4, &["on site", "not due"]);
        assert!(json(&ticket).contains("self_recovered"));
    }

    #[test]
    fn times_in_tables_are_those_of_the_site_with_their_offset() {
        let site = serde_json::json!({ "id": "s1", "timezone": "Asia/Shanghai" });
        let zones = Zones::of(&serde_json::json!({ "items": [site] }));
        let at = "2026-11-01T20:00:00.000Z";
        let kiosk = serde_json::json!({
            "id": "K-1", "site": "s1", "presence": { "since": at, "last_seen_at": at }, "service_since": at,
            "open_tickets": 3, "resolved_tickets": 2,
        });
        let ticket = serde_json::json!({
            "number": 7, "site": "s1", "opened_at": at, "t5": at, "t7": at,
            "clocks": [{ "name": "arrive", "due_at": at }],
            "history": [{ "at": at, "to": "closed", "reason": "by hand" }],
        });
        let due =
            serde_json::json!({ "site": "s1", "window_from": at, "window_to": at, "report_due_at": at });
        let list = |row: &Value| serde_json::json!({ "items": [row] });
        let all = [
            (super::kiosks(&list(&kiosk), &zones), 1),
            (super::kiosk(&kiosk, &zones), 3),
            (tickets(&list(&ticket), &zones), 1),
            (super::ticket(&ticket, &zones), 5),
            (inspections(&list(&due), &zones), 3),
            (uptime(&serde_json::json!({ "as_of": at }), &zones), 1),
        ];
        for (told, times) in all {
            assert_eq!(told.matches("2026-11-02 04:00:00 +08:00").count(), times, "{told}");
            assert!(!told.contains("20:00:00"), "{told}");
        }
        assert!(super::kiosk(&kiosk, &zones).contains("3 (2 resolved)"));
    }
}
