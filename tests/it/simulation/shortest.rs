//! The shortest story that still fails, and the program that tells it.
use std::process::{Command, Output, Stdio};

use kioskwatch_tests::sim::{Failure, Mistake, Story, run, shrink, story::Themes};

use super::MINUTE;

/// Days and kiosks of the program's stories, as its command line has them.
const DAYS: &str = "0.02";
const LENGTH_MS: i64 = 1_728_000;
const KIOSKS: usize = 2;
/// Shows in the first stories, as nobody needs bad luck for it.
const PLANTED: Mistake = Mistake::TicketForgotten;
const STORIES: usize = 3;

fn failing(stories: impl Iterator<Item = Story>) -> impl Iterator<Item = (Story, Failure)> {
    stories.filter_map(|story| run(&story).err().map(|failure| (story, failure)))
}

#[test]
fn a_shortest_story_fails_and_every_happening_in_it_is_needed() {
    let themes = Themes { server_trouble: true, ..Themes::NONE };
    let mistake = Some(Mistake::AckBeforeCommit);
    let stories = (0..).map(|seed| Story { mistake, ..Story::about(themes, seed, KIOSKS, 40 * MINUTE) });
    for (story, failure) in failing(stories).take(STORIES) {
        let seed = story.seed;
        let (short, told) = shrink(&story, failure);
        assert_eq!(run(&short), Err(told), "seed {seed}: it fails as it is said to");
        assert!(short.events.len() < story.events.len(), "seed {seed}: {short}");
        assert!(short.kiosks <= story.kiosks && short.mistake == story.mistake, "seed {seed}: {short}");
        for index in 0..short.events.len() {
            let mut without = short.clone();
            without.events.remove(index);
            assert!(run(&without).is_ok(), "seed {seed}: it fails without happening {index} too:\n{short}");
        }
    }
}

fn program(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kioskwatch-sim"));
    program.args(["--days", DAYS, "--kiosks", &KIOSKS.to_string(), "--threads", "1"]).args(arguments);
    program.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_program_tells_the_shortest_story_as_code_and_ends_with_1() {
    let told = program(&["--seeds", "0..20", "--mistake", &format!("{PLANTED:?}")]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(1), "{text}");
    let planted = |seed| Story { mistake: Some(PLANTED), ..Story::of_seed(seed, KIOSKS, LENGTH_MS) };
    let (story, failure) = failing((0..20).map(planted)).next().unwrap();
    let (short, why) = shrink(&story, failure);
    let lines: Vec<&str> = text.lines().collect();
    let begins = format!("seed {} fails ({} happenings", story.seed, story.events.len());
    assert!(lines[0].starts_with(&begins), "{text}");
    assert!(lines.contains(&format!("as code: {short:?}").as_str()), "{text}");
    assert!(lines.contains(&format!("  {}", why.0[0]).as_str()), "{text}");
    assert!(lines.iter().any(|line| line.contains(": 1 failed, ")), "{text}");

    // Without it, and with one that nobody knows.
    let held = program(&["--seeds", "0..10"]);
    let text = String::from_utf8(held.stdout).unwrap();
    assert!(held.status.code() == Some(0) && text.contains("10 seeds of 0..10: 0 failed, "), "{text}");
    assert_eq!(program(&["--mistake", "Unheard"]).status.code(), Some(2));
}
