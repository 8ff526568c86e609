//! How a group's months follow each other, as far as they are booked.
use kioskwatch_domain::uptime::Month;

use super::{UptimeScope, books::Question};
use crate::{
    app::App,
    store::{MonthRatios, Scope, StoreError},
};

/// Months of a trend: a year.
pub(crate) const MONTHS: usize = 12;
impl App {
    /// The official ratios of a group in each of these months. What is over is summed once and remembered until rows of it
    /// are booked.
    pub(crate) async fn trend(
        &self,
        reader: &Scope,
        scope: &UptimeScope,
        months: &[Month],
    ) -> Result<Vec<MonthRatios>, StoreError> {
        let mut trend = Vec::with_capacity(months.len());
        // One after the other: a page asks the books beside it, and others need connections too.
        for month in months {
            trend.push(self.ratios(reader, scope, *month).await?);
        }
        Ok(trend)
    }

    async fn ratios(
        &self,
        reader: &Scope,
        scope: &UptimeScope,
        month: Month,
    ) -> Result<MonthRatios, StoreError> {
        let question = Question::of(reader, scope, (month, month));
        let generation = match self.books().ratios(&question) {
            Ok(ratios) => return Ok(ratios),
            Err(generation) => generation,
        };
        let ratios = self.store().ratios_of_month(reader, month, scope.words()).await?;
        self.books().remember_ratios(question, generation, &ratios);
        Ok(ratios)
    }

    /// The first page that anybody opens shows the fleet: a year of it is summed before it is asked for.
    pub(super) async fn sum_up_the_year(&self) -> Result<(), StoreError> {
        let running = Month::at(self.default_zone(), self.clock().now().secs());
        // A page asks for the oldest first: who opens one meanwhile does the other half.
        let months = std::iter::successors(Some(running.previous()), |month| Some(month.previous()));
        let months: Vec<Month> = months.take(MONTHS - 1).collect();
        self.trend(&Scope::All, &UptimeScope::Fleet, &months).await.map(drop)
    }
}
