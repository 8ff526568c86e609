//! Parts and whole are of the same rows, or are not remembered.
use std::{cell::Cell, convert::Infallible, pin::pin};

use futures_util::FutureExt as _;

use super::*;
use crate::store::MonthTotal;

/// Asks the books; of each look what happens during it. How many looks that took.
struct Page {
    books: Books,
    question: Question,
    kiosks: u64,
}

impl Page {
    /// Of the group in October and November, in which it had so many kiosks.
    fn of(kiosks: u64) -> Self {
        let scope = UptimeScope::Region("north".to_owned());
        let question = Question::of(&Scope::All, &scope, (month("2026-10"), month("2026-11")));
        Self { books: Books::default(), question: question.by(Some(("site", "avail"))), kiosks }
    }

    async fn looks(&self, during: impl Fn(&Books, usize)) -> usize {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            during(&self.books, looks.get());
            let mut months = vec![MonthTotal::default(); 2];
            months[1].kiosks = self.kiosks;
            Ok::<_, Infallible>(Booked { months, parts: Vec::new(), kiosks: Vec::new() })
        };
        let Ok(_booked) = self.books.divided(&self.question, look).await;
        looks.get()
    }

    async fn is_remembered(&self) -> bool {
        self.looks(|_, _| {}).await == 0
    }
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

#[tokio::test]
async fn nothing_is_remembered_about_nobody() {
    for (kiosks, is_remembered) in [(0, false), (1, true)] {
        let page = Page::of(kiosks);
        assert_eq!(page.looks(|_, _| {}).await, 1);
        assert_eq!(page.is_remembered().await, is_remembered, "{kiosks} kiosks");
    }
}

#[tokio::test]
async fn a_page_that_rows_were_booked_under_is_looked_up_once_more() {
    for is_over in [false, true] {
        let page = Page::of(7);
        let once = |books: &Books, look| {
            if look == 1 {
                books.month_changed(month("2026-11"), is_over);
            }
        };
        assert_eq!(page.looks(once).await, 2, "over: {is_over}");
        assert!(page.is_remembered().await, "over: {is_over}");
        let page = Page::of(7);
        assert_eq!(page.looks(|books, _| books.month_changed(month("2026-10"), is_over)).await, 2);
        assert!(!page.is_remembered().await, "over: {is_over}: its parts may not add up");
    }
    let page = Page::of(7);
    assert_eq!(page.looks(|books, _| books.month_changed(month("2026-12"), true)).await, 1, "another month");
    assert!(page.is_remembered().await);
}

#[tokio::test]
async fn a_page_that_is_read_while_rows_are_committed_is_not_remembered() {
    let shelf = moved_in_mid_month().await;
    shelf.keep("k", october().to * 1_000 + DAY).await;
    let kiosk = KioskId::new("k").unwrap();
    let rows = shelf.store.versions_of_month(&Scope::All, &kiosk, month("2026-10")).await.unwrap();
    let changes: Vec<Change> = rows.into_iter().map(|row| Change::Month(Box::new(row))).collect();
    let page = Page::of(7);
    page.books.committing(&changes);
    assert_eq!(page.looks(|_, _| {}).await, 2);
    assert!(!page.is_remembered().await, "some rows of before, some of after");
    page.books.note(&changes, |_| Some(0));
    assert_eq!(page.looks(|_, _| {}).await, 1);
    assert!(page.is_remembered().await);
}

#[tokio::test]
async fn the_bookkeeper_books_behind_a_look_and_a_look_waits_for_what_is_booked() {
    let page = Page::of(7);
    let step = page.books.after_looks().await;
    assert!(step.is_alone(), "nobody looks");
    let mut look = pin!(page.looks(|books, _| assert!(books.after_looks().now_or_never().is_none())));
    assert_eq!(look.as_mut().now_or_never(), None, "rows are being booked");
    drop(step);
    assert_eq!(look.await, 1);
    assert!(page.books.after_looks().now_or_never().is_some_and(|step| step.is_alone()));
}

#[tokio::test]
async fn neither_a_look_nor_a_step_that_hangs_keeps_the_other_waiting_for_ever() {
    let page = Page::of(7);
    let step = page.books.after_looks().await;
    assert_eq!(page.looks(|_, _| {}).await, 1, "although the step does not end");
    drop(step);
    let page = Page::of(7);
    let look = async || -> Result<Booked, Infallible> {
        assert!(!page.books.after_looks().await.is_alone(), "it goes on although the look does not end");
        Ok(Booked { months: Vec::new(), parts: Vec::new(), kiosks: Vec::new() })
    };
    let Ok(_booked) = page.books.divided(&page.question, look).await;
}
