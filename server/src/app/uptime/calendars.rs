//! What a server that starts says anew about days off and the notice for planned work: from then on it is known, and
//! every month that was signed before is explained by what was known before.
use kioskwatch_domain::{
    change::{AuditRow, CalendarTermsRow, Change},
    fleet::{Actor, Request},
};

use super::DecisionError;
use crate::app::App;

impl App {
    /// Notes the configured calendar and notice where they are others than those that were noted last. Before the
    /// bookkeeper's first look, which finds the signed months that come to something else by them.
    ///
    /// # Errors
    /// The store does not answer, or the hub does not take it.
    pub async fn note_calendar(&self) -> Result<(), DecisionError> {
        let deciding = self.books().decisions.begin().await?;
        let noted = self.store().calendar_terms().await?;
        let now = self.clock().now();
        let notice_h = i64::try_from(self.config().uptime.planned_notice_h).unwrap_or(i64::MAX);
        let learned = CalendarTermsRow::learned(&noted, self.calendar(), notice_h, now);
        let Some(row) = learned.first() else { return Ok(()) };
        let actor = Actor { name: "configuration".to_owned() };
        let detail = serde_json::json!({
            "calendar": self.calendar().version(),
            "planned_notice_h": notice_h,
            "known_from": row.known_from,
            "before": noted.last().map(|row| row.days.days_text()),
            "after": row.days.days_text(),
        });
        let audit = AuditRow {
            at: now,
            actor: actor.name.clone(),
            action: "put_calendar".to_owned(),
            object: "calendar".to_owned(),
            detail: detail.to_string(),
        };
        let rows = learned.into_iter().map(Change::CalendarTerms);
        let changes = rows.chain([Change::Audit(audit)]).collect();
        deciding.ask(self, actor, Request::Book { changes, also: None }).await?;
        Ok(())
    }
}
