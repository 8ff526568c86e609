//! What a correction would do to the figures, for those who ask for it and approve it.
use std::sync::Arc;

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{Correction, CorrectionRow, GroupKind, MonthSums},
    uptime::{
        Month,
        booking::measure,
        books::{Shares, figures_json, shared_json},
        corrections::{self, Consequence},
    },
};

use super::{
    UptimeError, UptimePeriod, UptimeScope, frame::Frame, gather::KIOSKS_AT_ONCE, places::belongs,
    reader::UptimeReader,
};
use crate::store::Scope;

/// Months whose figures are shown before and after; the newest ones.
const SHOWN_MONTHS: usize = 3;

/// What a correction does to a month: figures as JSON text.
#[derive(Default)]
struct Effect {
    before: String,
    after: String,
    /// Some kiosk of it was signed.
    signed: bool,
}

impl UptimeReader<'_> {
    /// The newest local month of which nothing restates what was signed any more.
    pub(crate) fn newest_closed(&self, zone: Tz) -> Month {
        let mut month = Month::at(zone, self.now.secs());
        while !self.terms().is_closed(month.period(zone).to, self.now) {
            month = month.previous();
        }
        month
    }

    /// The figures of the local months that a correction is about, as they are and as they would be, as JSON text;
    /// `months_not_shown` is there when it reaches further back. Of time to come there are none. `closed`: the month
    /// was signed, and nothing restates it any more.
    pub(super) async fn effect(&self, row: &CorrectionRow, zone: Tz) -> Result<String, UptimeError> {
        let (kiosk, site) = corrections::place(&row.what);
        let scope = match (kiosk, site) {
            (Some(kiosk), _) => UptimeScope::Kiosk(kiosk.clone()),
            (None, Some(site)) => UptimeScope::Site(site.clone()),
            (None, None) => return Ok("{}".to_owned()),
        };
        let mut effect = serde_json::Map::new();
        let mut months = corrections::months(row, zone);
        months.retain(|month| month.period(zone).from <= self.now.secs());
        for month in months.iter().rev().take(SHOWN_MONTHS).copied() {
            let Effect { before, after, signed } = self.with_and_without(row, &scope, month).await?;
            let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
            let closed = signed && self.terms().is_closed(month.period(zone).to, self.now);
            let told = serde_json::json!({ "before": json(before), "after": json(after), "closed": closed });
            effect.insert(month.to_string(), told);
        }
        if months.len() > SHOWN_MONTHS {
            effect.insert("months_not_shown".to_owned(), (months.len() - SHOWN_MONTHS).into());
        }
        Ok(serde_json::Value::Object(effect).to_string())
    }

    async fn with_and_without(
        &self,
        row: &CorrectionRow,
        scope: &UptimeScope,
        month: Month,
    ) -> Result<Effect, UptimeError> {
        let period = UptimePeriod::Month { year: month.year(), month: month.month() };
        let members = self.members(&Scope::All, scope, period.around()?).await?;
        if members.is_empty() {
            return Ok(Effect::default());
        }
        let mut signed = false;
        // Where it should have stood may be a site at which it never was.
        let moved = corrections::reassigned(row, row.requested_at);
        let site = moved.as_ref().filter(|row| row.group == GroupKind::Site);
        let there =
            self.places_at(&site.and_then(|row| row.group_id.parse().ok()).into_iter().collect()).await?;
        let (mut before, mut after) = (MonthSums::default(), MonthSums::default());
        let (mut had, mut has) = (Shares::new(), Shares::new());
        for kiosks in members.chunks(KIOSKS_AT_ONCE) {
            let gathered = self.gather(kiosks, period, None).await?;
            let now = &gathered.frame;
            let mut then = corrected(now.clone(), row);
            if let Some(moved) = &moved {
                then.places = Arc::new(then.places.with(there.clone()));
                then.assign(vec![moved.clone()]);
            }
            if let Correction::Commissioning { after, .. } = &row.what {
                let kiosks = gathered.subjects.iter().map(|subject| &subject.view.kiosk);
                kiosks.for_each(|kiosk| then.recommission(kiosk, *after, self.now));
            }
            for subject in &gathered.subjects {
                signed |= !subject.signed.is_empty();
                let kiosk = &subject.view.kiosk;
                // A month of another zone has another end, unless it was signed with this one or is by now.
                let is_frozen = !subject.signed.is_empty()
                    || self.terms().freeze_at(subject.period.to) <= self.now.secs();
                let period = match &row.what {
                    Correction::Timezone { .. } if !is_frozen => {
                        let stood = (kiosk, then.assignments(&kiosk.id));
                        then.places.unsigned(stood, month, (self.now.secs(), None), &self.terms()).1
                    }
                    _ => subject.period,
                };
                let both =
                    [(now, subject.period, &mut before, &mut had), (&then, period, &mut after, &mut has)];
                for (frame, period, total, shares) in both {
                    // Both from all that is known: what late evidence moved is no effect of the correction.
                    let sets = frame.sets(kiosk, subject.interval_s(), period, None);
                    // Its site owes as much as before, and only to somebody else: what it owes to them is told.
                    let member = match &row.what {
                        Correction::Contract { after, .. } => {
                            sets.belonging(|owner| belongs(owner, scope) && after.is(&owner.contract))
                        }
                        _ => sets.membership(scope, &Scope::All),
                    };
                    let inputs = sets.inputs(frame, gathered.claims(subject));
                    *total = [&*total, &measure(&inputs, &member)].into_iter().sum();
                    if moved.is_some() {
                        // As a month has rows: also of who owned nothing but time that is forgiven.
                        let owned = sets.owners.iter().map(|(owner, set)| (owner, measure(&inputs, set)));
                        let owned = owned.filter(|(_, sums)| sums.has_time());
                        shares.extend(owned.map(|(owner, sums)| (owner.clone(), sums)));
                    }
                }
            }
        }
        // Of another place or engineer the whole may stay as it is: what moves stands with the owners.
        let (before, after) = match &moved {
            Some(_) => (shared_json(&had), shared_json(&has)),
            None => (figures_json(&before), figures_json(&after)),
        };
        Ok(Effect { before, after, signed })
    }
}

/// As if the correction were approved.
fn corrected<'a>(mut frame: Frame<'a>, row: &CorrectionRow) -> Frame<'a> {
    if let Correction::ServiceHours { site, after, .. } = &row.what {
        frame.places = Arc::new(frame.places.with_hours(site, after));
    }
    if let Correction::Contract { .. } = &row.what {
        frame.places = Arc::new(frame.places.with_contract(row));
    }
    if let Correction::Timezone { site, after, .. } = &row.what
        && let Ok(zone) = after.parse()
    {
        frame.places = Arc::new(frame.places.with_zone(site, zone));
    }
    match corrections::would_be(row) {
        Some(Consequence::Exclusion(row)) => frame.forgive(vec![row]),
        Some(Consequence::Withdrawal { exclusion, .. }) => frame.withdraw(exclusion),
        _ => {}
    }
    frame
}
