//! What a plan has to know of the store because the fleet remembers only the newest: read before it is made.
//!
//! On the writer's own connection: reports that people wait for do not hold it up.
use std::collections::{HashMap, HashSet};

use kioskwatch_domain::fleet::{IncomingRecord, Input, Recalled, Stored};

use super::{
    Hub,
    commit::{Failed, chain},
    tries::{Next, Tries},
};
use crate::{
    panics::caught_at_once,
    store::{Place, StoreError},
};

impl Hub {
    /// Looks up the journals that the fleet has forgotten, and the places that records had before their epoch
    /// changed. Waits while the database is away, as the commit would.
    pub(super) async fn look_up(&self, inputs: &mut [Input]) -> Result<Recalled, Failed> {
        self.look_up_old_places(inputs).await?;
        let places = self.app.fleet().to_recall(inputs);
        if places.is_empty() {
            return Ok(Recalled::default());
        }
        let store = self.app.store();
        let whole = self.answered(|| store.journal_heads_at(&places)).await?;
        if let Ok(heads) = whole {
            return Ok(Recalled { heads, unreadable: Vec::new() });
        }
        let mut recalled = Recalled::default();
        for place in places {
            match self.answered(|| store.journal_heads_at(std::slice::from_ref(&place))).await? {
                Ok(heads) => recalled.heads.extend(heads),
                Err(error) => {
                    let (kiosk, epoch) = &place;
                    tracing::error!(%kiosk, %epoch, error = chain(&error), "a journal cannot be looked up; it waits");
                    recalled.unreadable.push(place);
                }
            }
        }
        Ok(recalled)
    }

    async fn look_up_old_places(&self, inputs: &mut [Input]) -> Result<(), Failed> {
        let mut places = old_places(inputs);
        if places.is_empty() {
            return Ok(());
        }
        places.sort_unstable();
        places.dedup();
        let mut stored = HashMap::new();
        match self.read_places(&places).await? {
            Ok(rows) => stored.extend(rows.into_iter().map(|(place, raw)| (place, Ok(raw)))),
            Err(error) => {
                tracing::error!(error = chain(&error), "looking up the old places of records one by one");
                for place in &places {
                    match self.read_places(std::slice::from_ref(place)).await? {
                        Ok(rows) => stored.extend(rows.into_iter().map(|(place, raw)| (place, Ok(raw)))),
                        Err(error) => drop(stored.insert(place.clone(), Err(error))),
                    }
                }
            }
        }
        let removed = self.removed_places(&places, &stored).await?;
        for input in inputs {
            let Input::Batch { kiosk, batch, .. } = input else { continue };
            for record in &mut batch.records {
                let Some(was) = record.stood_at() else { continue };
                let place = (kiosk.clone(), was.epoch, was.seq);
                match (stored.get(&place), &removed) {
                    (Some(Ok(raw)), _) => {
                        let compared = caught_at_once(|| record.compare_with(Some(raw)));
                        if let Err(panic) = compared {
                            tracing::error!(%kiosk, panic, "reading a stored record panicked: a defect of ours");
                            self.app.counters().panicked("message");
                            record.stored = Stored::Unreadable;
                        }
                    }
                    (Some(Err(_)), _) | (None, Err(_)) => record.stored = Stored::Unreadable,
                    (None, Ok(removed)) if removed.contains(&place) => record.stored = Stored::Removed,
                    (None, Ok(_)) => record.compare_with(None),
                }
            }
        }
        Ok(())
    }

    /// Of those that are not stored the ones that were.
    async fn removed_places<T>(
        &self,
        places: &[Place],
        stored: &HashMap<Place, T>,
    ) -> Result<Result<HashSet<Place>, StoreError>, Failed> {
        let missing: Vec<Place> =
            places.iter().filter(|place| !stored.contains_key(place)).cloned().collect();
        if missing.is_empty() {
            return Ok(Ok(HashSet::new()));
        }
        let store = self.app.store();
        let removed = self.answered(|| store.journal_removed_at(&missing)).await?;
        if let Err(error) = &removed {
            tracing::error!(
                error = chain(error),
                "nobody can tell whether records were applied long ago; they wait"
            );
        }
        Ok(removed)
    }

    async fn read_places(
        &self,
        places: &[Place],
    ) -> Result<Result<HashMap<Place, String>, StoreError>, Failed> {
        let store = self.app.store();
        self.answered(|| store.journal_raw_at(places)).await
    }

    /// An answer of the database, be it that it cannot read what is asked for.
    async fn answered<T, F>(&self, ask: impl Fn() -> F) -> Result<Result<T, StoreError>, Failed>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut tries = Tries::new(false);
        loop {
            let error = match ask().await {
                Err(error) if !matches!(error, StoreError::Damaged { .. }) => error,
                answer => return Ok(answer),
            };
            match tries.failed(&error) {
                Next::Never => return Ok(Err(error)),
                Next::Again(pause) | Next::Settle(pause) => self.database_away(&error, pause).await?,
            }
        }
    }
}

fn old_places(inputs: &[Input]) -> Vec<Place> {
    let batches = inputs.iter().filter_map(|input| match input {
        Input::Batch { kiosk, batch, .. } => Some((kiosk, &batch.records)),
        _ => None,
    });
    let places = batches.flat_map(|(kiosk, records)| {
        let was = records.iter().filter_map(IncomingRecord::stood_at);
        was.map(move |was| (kiosk.clone(), was.epoch, was.seq))
    });
    places.collect()
}
