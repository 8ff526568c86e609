//! The first look after a start: what a scrape shows of everybody, before any book is kept.
//!
//! To book a kiosk for the first time takes months of evidence and a commit, and a large fleet half an hour of it at the
//! bookkeeper's pace. What a scrape shows takes the evidence of the running month, and of the last one only where it is
//! not signed yet. So everybody is looked at for that first, by a larger share of a core, which ends when messages wait:
//! they come before figures. Then come, once more, those of whom something was committed meanwhile: after a start that
//! is who was heard again. Nothing is booked by it, and whoever was looked at is booked as if it had not been.
use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};

use kioskwatch_domain::fleet::Ix;
use kioskwatch_proto::KioskId;

use super::{super::dirty::Since, KIOSKS_A_STEP, Keeper, STRANGER, StepError};
use crate::app::uptime::look::Look;

/// Rest after a step, in lengths of the step, while sums of groups are missing and few messages wait.
const REST: u32 = 1;

/// Whom it has still to look at.
#[derive(Debug)]
pub(super) struct FirstLook {
    pass: Pass,
    waiting: VecDeque<Ix>,
    /// Of whom something was committed before they were looked at: they are to be booked all the same.
    changed: BTreeMap<Ix, Since>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Everybody,
    ChangedMeanwhile,
}

impl Keeper {
    /// A few kiosks; `false` when everybody was looked at.
    pub(super) async fn look_first(&mut self) -> Result<bool, StepError> {
        self.spread_sites().await?;
        let mut first = match self.first.take() {
            Some(first) => first,
            None => self.begin_first_look(),
        };
        let some: Vec<Ix> = first.waiting.iter().take(KIOSKS_A_STEP).copied().collect();
        self.take_changes(&some, &mut first);
        let looked = self.show(&some).await;
        let first = self.first.insert(first);
        looked?;
        first.waiting.drain(..some.len());
        if !first.waiting.is_empty() {
            return Ok(true);
        }
        if first.pass == Pass::Everybody {
            first.pass = Pass::ChangedMeanwhile;
            first.waiting = self.app.books().dirty().changed().collect();
            self.app.books().shown_whole();
            return Ok(true);
        }
        let first = self.first.take();
        let mut dirty = self.app.books().dirty();
        first
            .into_iter()
            .flat_map(|first| first.changed)
            .for_each(|(kiosk, since)| dirty.kiosk(kiosk, since));
        Ok(false)
    }

    /// How long a step of it is rested from, in lengths of the step.
    pub(super) fn rest_at_first(&self) -> u32 {
        if self.app.messages_wait() { super::REST } else { REST }
    }

    fn begin_first_look(&mut self) -> FirstLook {
        self.meet_strangers();
        let strangers = (0..).zip(&self.due_at).filter(|(_, at)| **at == STRANGER);
        let waiting = strangers.map(|(kiosk, _)| kiosk).collect();
        FirstLook { pass: Pass::Everybody, waiting, changed: BTreeMap::new() }
    }

    /// Before anything is read: what is committed later makes them wait again.
    fn take_changes(&self, kiosks: &[Ix], first: &mut FirstLook) {
        let mut dirty = self.app.books().dirty();
        for &kiosk in kiosks {
            let Some(since) = dirty.take_one(kiosk) else { continue };
            let known = first.changed.entry(kiosk).or_insert(since);
            *known = since.min(*known);
        }
    }

    /// Who cannot be looked at is named when it cannot be booked either, and keeps nobody waiting.
    async fn show(&mut self, kiosks: &[Ix]) -> Result<(), StepError> {
        match self.show_together(kiosks).await {
            Err(error) if error.stays() => {
                for kiosk in kiosks {
                    match self.show_together(std::slice::from_ref(kiosk)).await {
                        Err(error) if !error.stays() => return Err(error),
                        Err(error) => tracing::debug!(kiosk, %error, "left out of the first look"),
                        Ok(()) => {}
                    }
                }
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn show_together(&mut self, kiosks: &[Ix]) -> Result<(), StepError> {
        let known: BTreeMap<KioskId, Ix> = {
            let fleet = self.app.fleet();
            kiosks.iter().filter_map(|&kiosk| Some((fleet.kiosk_at(kiosk)?.id.clone(), kiosk))).collect()
        };
        if known.is_empty() {
            return Ok(());
        }
        let places = self.places().await?;
        let app = self.app.clone();
        let reader = app.uptime_reader();
        let look = Look::for_scrape(&reader, places, known.keys().cloned().collect()).await?;
        let mut shown = Vec::new();
        for subject in &look.subjects {
            let ids = &mut self.ids;
            let kept = catch_unwind(AssertUnwindSafe(|| look.keep(subject, ids)));
            let kept = kept.map_err(|_| StepError::Panicked)?;
            shown.extend(known.get(&subject.view.kiosk.id).map(|place| (*place, kept.shown)));
        }
        app.books().show(shown);
        Ok(())
    }
}
