//! Grafana's dashboards: made here, so that a panel is a line and not a page of JSON, and asked here.
//!
//! `KIOSKWATCH_BLESS=1 cargo test -p kioskwatch-tests --test it dashboards` writes the files of `deploy/grafana`
//! anew. Every query of every panel is then put to a real Prometheus and, as the role that only reads, to the
//! real PostgreSQL of a running stack, and must answer, but for the few that [`empty_here`] lists. A panel that may
//! be empty for its reader says so, with the reason, in its description.
mod answer;
mod board;
mod empty_here;
mod fleet;
mod kiosk;
mod kiosk_history;
mod live;
mod panel;
mod server;
mod ticket_history;
mod tickets;
mod uptime;
mod uptime_history;
mod verdict;
mod words;

use std::{fs, path::Path};

use self::board::Board;

fn boards() -> Vec<Board> {
    vec![
        fleet::board(),
        uptime::board(),
        kiosk::board(),
        tickets::board(),
        server::board(),
        uptime_history::board(),
        ticket_history::board(),
        kiosk_history::board(),
    ]
}

fn deploy() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy"))
}

#[test]
fn the_files_are_what_the_boards_say() {
    let mut expected = Vec::new();
    for board in boards() {
        let file = deploy().join("grafana").join(board.folder()).join(format!("{}.json", board.name));
        let text = serde_json::to_string_pretty(&board.json()).unwrap() + "\n";
        if std::env::var_os("KIOSKWATCH_BLESS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(found == text, "{} is stale: run this test with KIOSKWATCH_BLESS=1", file.display());
        expected.push(file);
    }
    for folder in ["dashboards", "dashboards-postgres"] {
        for entry in fs::read_dir(deploy().join("grafana").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            assert!(expected.contains(&path), "{} is made by nobody", path.display());
        }
    }
}

/// Coloured by thresholds, Grafana's timeline draws the steps of the threshold in place of the states, and merges
/// 0 and 1 where one step holds both.
#[test]
fn a_timeline_shows_states_and_not_steps_of_a_threshold() {
    let boards = boards();
    let panels = boards.iter().flat_map(|board| board.json()["panels"].as_array().unwrap().clone());
    let timelines: Vec<_> = panels.filter(|panel| panel["type"] == "state-timeline").collect();
    assert!(!timelines.is_empty());
    for panel in timelines {
        let defaults = &panel["fieldConfig"]["defaults"];
        assert_eq!(defaults["color"]["mode"], "fixed", "{}", panel["title"]);
        assert!(
            !defaults["mappings"].as_array().unwrap().is_empty(),
            "{}: nothing has a colour",
            panel["title"]
        );
    }
}

/// A gauge of 0 or 1 that is shown as it is.
fn is_state(expr: &str) -> bool {
    let gauges = [
        "kioskwatch_kiosk_up",
        "kioskwatch_kiosk_in_service",
        "kioskwatch_peripheral_up",
        "kioskwatch_ready",
    ];
    expr.starts_with("max") && !expr.contains("==") && gauges.iter().any(|gauge| expr.contains(gauge))
}

#[test]
fn a_state_is_shown_in_words_and_not_as_a_number() {
    let mut states = 0;
    for panel in boards().iter().flat_map(|board| board.json()["panels"].as_array().unwrap().clone()) {
        let mut exprs = panel["targets"].as_array().unwrap().iter().filter_map(|t| t["expr"].as_str());
        if exprs.any(is_state) {
            states += 1;
            assert!(panel["fieldConfig"].to_string().contains("正常 / yes"), "{}", panel["title"]);
        }
    }
    assert!(states >= 6, "{states}");
}

/// Figures of the contract beside which nothing says where too little is known, each with the reason.
const WITHOUT_A_MARK: [(&str, &str); 4] = [
    ("允许停机余额", "seconds left of the figure beside it, which has the mark"),
    ("本月允许停机时间已用", "a share of the target and no figure of the time"),
    ("本月数据覆盖", "it is the coverage"),
    ("更正过的月份", "what changed by a decision; its figures are among the months"),
];

/// By "uptime definition 2.7" a figure of which too little is known has that beside it, or its coverage in a column.
#[test]
fn every_figure_of_the_contract_says_where_too_little_is_known() {
    let mut marked = 0;
    for board in [uptime::board(), uptime_history::board(), kiosk_history::board()] {
        for panel in board.json()["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            let asks = panel["targets"].to_string();
            let is_figure = [":ratio{", "uptime_up_seconds", "_of_s"].iter().any(|part| asks.contains(part));
            let is_exempt = WITHOUT_A_MARK.iter().any(|(zh, _)| title.starts_with(zh));
            if !is_figure || is_exempt {
                continue;
            }
            let told =
                asks.contains(panel::INSUFFICIENT) || panel.to_string().contains("数据覆盖 / Coverage");
            // Single kiosks have no series of what is known.
            let elsewhere = panel["description"].as_str().is_some_and(|text| text.contains("in the console"));
            assert!(told || elsewhere, "{}: {title}", board.name);
            marked += 1;
        }
    }
    assert!(marked > 15, "{marked}");
}
