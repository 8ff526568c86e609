//! Lost time by cause, as bars of one scale.
use super::{
    super::{bar::percent, texts::Texts, time},
    measure::Tally,
};

/// One cause; the largest comes first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CauseBar {
    pub(crate) word: &'static str,
    pub(crate) length: String,
    pub(crate) seconds: i64,
    /// Its part of all that was lost.
    pub(crate) share: String,
    pub(crate) width: String,
}

pub(crate) fn bars(t: &'static Texts, tally: &Tally) -> Vec<CauseBar> {
    let mut lost: Vec<_> = tally.lost.iter().map(|(cause, seconds)| (*cause, *seconds)).collect();
    lost.sort_by_key(|(_, seconds)| -*seconds);
    let most = lost.first().map_or(1, |(_, seconds)| *seconds);
    let bar = |(cause, seconds): (&'static str, i64)| CauseBar {
        word: t.word(cause),
        length: time::length(t, seconds),
        seconds,
        share: match (seconds * 200 / tally.down.max(1) + 1) / 2 {
            0 => "<1%".to_owned(),
            percent => format!("{percent}%"),
        },
        width: percent(seconds, most),
    };
    lost.into_iter().map(bar).collect()
}
