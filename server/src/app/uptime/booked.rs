//! What the books say of a group and of its parts, read together: a page's parts add up to its whole.
use std::sync::Arc;

use kioskwatch_domain::uptime::Month;

use super::{UptimeScope, books::Question};
use crate::{
    app::App,
    store::{MonthGroup, MonthTotal, Scope, StoreError},
};

/// A group's months, and how they divide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// In order; of a month that nobody has booked a total of no kiosks.
    pub months: Vec<MonthTotal>,
    /// As they were asked for, those first that lost most of the ratio asked for.
    pub parts: Vec<MonthGroup>,
    /// Its kiosks, in the same order.
    pub kiosks: Vec<MonthGroup>,
}

impl Booked {
    /// Its size in memory, in rows of 200 bytes.
    pub(super) fn rows(&self) -> usize {
        let groups = || self.parts.iter().chain(&self.kiosks);
        let names: usize = groups().map(|group| group.name.len()).sum();
        // The sums of a month have causes.
        3 * self.months.len() + groups().count() + names / 200
    }

    pub(super) fn is_about_somebody(&self) -> bool {
        self.months.iter().any(|month| month.kiosks > 0)
    }
}

impl App {
    /// The official figures of a group in the months `from..=to`, and of its parts; `by`: how it is divided, and by which
    /// ratio the worst come first. The parts add up to the whole, unless rows of these months were booked during a look and during the next one too.
    /// Remembered until rows of these months are booked: of the month that runs, with the round of the bookkeeper.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn booked(
        &self,
        reader: &Scope,
        scope: &UptimeScope,
        months: (Month, Month),
        by: (&'static str, &'static str),
    ) -> Result<Arc<Booked>, StoreError> {
        let question = Question::of(reader, scope, months).by(Some(by));
        self.books().divided(&question, || self.look_at_books(reader, scope, months, by)).await
    }

    /// Each statement sees what was committed when it began.
    async fn look_at_books(
        &self,
        reader: &Scope,
        scope: &UptimeScope,
        (from, to): (Month, Month),
        (by, ratio): (&'static str, &'static str),
    ) -> Result<Booked, StoreError> {
        let whole = scope.words();
        let store = self.store();
        let totals = async {
            let mut months = Vec::new();
            let mut month = from;
            while month <= to {
                months.push(store.total_of_month(reader, month, whole.0, whole.1).await?);
                month = month.next();
            }
            Ok(months)
        };
        let groups = async |by| store.groups_of_months(reader, (from, to), whole, by, ratio).await;
        let other_parts = async {
            match by {
                "kiosk" => Ok(None),
                by => groups(by).await.map(Some),
            }
        };
        // Each reads the rows of these months: at once on several connections.
        let (months, kiosks, parts) = tokio::try_join!(totals, groups("kiosk"), other_parts)?;
        Ok(Booked { months, parts: parts.unwrap_or_else(|| kiosks.clone()), kiosks })
    }
}
