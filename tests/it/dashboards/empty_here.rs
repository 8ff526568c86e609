//! Panels that say nothing in the stack of this test, each with the reason. Every other panel must answer.
use super::answer::{Choice, Chosen};

struct Empty {
    board: &'static str,
    /// The Chinese half of its title.
    title: &'static str,
    /// Only with this word chosen of this variable.
    with: Option<(&'static str, &'static str)>,
    why: &'static str,
}

const fn always(board: &'static str, title: &'static str, why: &'static str) -> Empty {
    Empty { board, title, with: None, why }
}

const fn of_full(board: &'static str, title: &'static str) -> Empty {
    let why = "nothing is promised of full function";
    Empty { board, title, with: Some(("ratio", "full")), why }
}

const NOTHING_OLD: &str =
    "rows go once a day, after servers have received for two days, and none of this stack is 14 months old";

const EMPTY: &[Empty] = &[
    always("server", "旧数据上次清理", NOTHING_OLD),
    always("server", "清理的行数", NOTHING_OLD),
    of_full("uptime-history", "允许停机余额"),
    of_full("uptime-history", "逐月"),
    of_full("uptime", "本月至今"),
];

impl Empty {
    fn is(&self, board: &str, title: &str) -> bool {
        self.board == board && title.split(" / ").next() == Some(self.title)
    }
}

/// Why a panel may say nothing here.
pub(super) fn reason(board: &str, title: &str, chosen: &Chosen) -> Option<&'static str> {
    let word_chosen = |(variable, word): (&str, &str)| matches!(chosen.get(variable), Some(Choice::One(chosen)) if chosen == word);
    let found = EMPTY.iter().find(|one| one.is(board, title) && one.with.is_none_or(word_chosen));
    found.map(|one| one.why)
}

#[test]
fn every_panel_that_may_be_empty_here_exists_and_says_so_to_its_reader() {
    for one in EMPTY {
        let boards = super::boards();
        let board = boards.iter().find(|board| board.name == one.board);
        let board = board.unwrap_or_else(|| panic!("no board {}", one.board)).json();
        let mut panels = board["panels"].as_array().unwrap().iter();
        let panel = panels.find(|panel| one.is(one.board, panel["title"].as_str().unwrap()));
        let panel = panel.unwrap_or_else(|| panic!("{} has no panel {}", one.board, one.title)).to_string();
        // With `or vector(0)` the reader always sees a number.
        let told = panel.contains(super::panel::MAY_BE_EMPTY) || panel.contains(" or vector(0)");
        assert!(told, "{}: {} may be empty ({}) and does not say so", one.board, one.title, one.why);
    }
}
