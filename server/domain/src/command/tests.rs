use super::*;
use crate::policy::Policy;

#[test]
fn only_the_end_of_a_command_corrects_a_guess_and_any_word_a_refusal() {
    use {CommandOutcome as Word, CommandState as State};
    for (state, word, next) in [
        (State::Sent, Word::Accepted, Some(State::Accepted)),
        (State::Sent, Word::Succeeded, Some(State::Succeeded)),
        (State::Started, Word::Failed, Some(State::Failed)),
        (State::Succeeded, Word::Failed, None),
        (State::Cancelled, Word::Succeeded, None),
        (State::Expired, Word::Accepted, None),
        (State::Expired, Word::Succeeded, Some(State::Succeeded)),
        (State::Unknown, Word::Failed, Some(State::Failed)),
        (State::Refused, Word::Accepted, Some(State::Accepted)),
        (State::Refused, Word::Succeeded, Some(State::Succeeded)),
        (State::Refused, Word::Refused, None),
    ] {
        assert_eq!(after_word(state, word), next, "{state:?} {word:?}");
    }
}

#[test]
fn windows_are_cut_and_never_longer_than_an_agent_accepts() {
    let policy = CommandPolicy { window_ms: 3_600_000, ..Policy::default().commands };
    assert_eq!(window_ms(Action::Probe, None, &policy), 3_600_000);
    assert_eq!(window_ms(Action::Reboot, None, &policy), 600_000);
    assert_eq!(window_ms(Action::Reboot, Some(60_000), &policy), 60_000);
    assert_eq!(window_ms(Action::Reboot, Some(-5), &policy), 1_000);
}
