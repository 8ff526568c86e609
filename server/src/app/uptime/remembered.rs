//! Answers by their questions, of which no more is kept than its size allows.
use std::collections::HashMap;

use kioskwatch_domain::uptime::Month;

use super::books::Question;

/// Of some 200 bytes each: what does not fit pushes out the rest, and is looked up anew.
const MAX_ROWS: usize = 100_000;

pub(super) struct Remembered<T> {
    /// With the rows that each weighs.
    known: HashMap<Question, (usize, T)>,
    rows: usize,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), rows: 0 }
    }
}

impl<T: Clone> Remembered<T> {
    pub(super) fn get(&self, question: &Question) -> Option<T> {
        self.known.get(question).map(|(_, answer)| answer.clone())
    }

    /// `rows`: the size of the answer; that of the question, whose words are a reader's, is added.
    pub(super) fn insert(&mut self, question: Question, rows: usize, answer: T) {
        let rows = rows + question.rows();
        if rows > MAX_ROWS {
            return;
        }
        if self.rows + rows > MAX_ROWS {
            (self.known, self.rows) = (HashMap::new(), 0);
        }
        self.rows += rows;
        if let Some((before, _)) = self.known.insert(question, (rows, answer)) {
            self.rows -= before;
        }
    }

    pub(super) fn forget(&mut self, month: Month) {
        self.known.retain(|question, _| !question.is_about(month));
        self.rows = self.known.values().map(|(rows, _)| rows).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kioskwatch_proto::SiteId;

    use super::*;
    use crate::{app::UptimeScope, store::Scope};

    fn about(reader: &Scope, name: &str) -> Question {
        let month = "2026-10".parse().unwrap();
        Question::of(reader, &UptimeScope::Region(name.to_owned()), (month, month))
    }

    /// How many of as many questions as the limit has rows are still known in the end, and were at most.
    fn known_of(reader: &Scope, name: impl Fn(usize) -> String, rows: usize) -> usize {
        let mut remembered = Remembered::default();
        let mut most = 0;
        for n in 0..3 * MAX_ROWS / 100 {
            remembered.insert(about(reader, &name(n)), rows, n);
            most = most.max(remembered.known.len());
            assert_eq!(remembered.get(&about(reader, &name(n))), Some(n), "the newest");
        }
        most
    }

    #[test]
    fn long_questions_and_large_answers_take_the_place_of_many() {
        let plain = known_of(&Scope::All, |n| n.to_string(), 1);
        assert_eq!(plain, 3 * MAX_ROWS / 100, "all of them");
        let named = known_of(&Scope::All, |n| format!("{n:0>20000}"), 1);
        assert!(named <= MAX_ROWS / 100, "{named} names of 20 kB");
        let large = known_of(&Scope::All, |n| n.to_string(), 100);
        assert!(large <= MAX_ROWS / 100, "{large} answers of 100 rows");
        let sites: BTreeSet<SiteId> =
            (0..1_000).map(|n| SiteId::new(&format!("site-{n:05}")).unwrap()).collect();
        let readers = known_of(&Scope::Sites(sites), |n| n.to_string(), 1);
        assert!(readers <= MAX_ROWS / 50, "{readers} questions of a reader of a thousand sites");
    }

    #[test]
    fn what_is_forgotten_or_replaced_weighs_nothing_any_more() {
        let mut remembered = Remembered::default();
        let question = || about(&Scope::All, "north");
        for n in 0..3 {
            remembered.insert(question(), MAX_ROWS / 4, n);
        }
        assert!(remembered.rows < MAX_ROWS / 2, "{}", remembered.rows);
        remembered.insert(about(&Scope::All, "south"), MAX_ROWS, 9);
        assert_eq!(remembered.get(&question()), Some(2), "what never fits pushes nobody out");
        remembered.forget("2026-09".parse().unwrap());
        assert_eq!(remembered.get(&question()), Some(2));
        remembered.forget("2026-10".parse().unwrap());
        assert_eq!((remembered.get(&question()), remembered.rows), (None, 0));
    }
}
