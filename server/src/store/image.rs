//! What a server starts from: everything that can still change.
use kioskwatch_domain::{
    change::{KioskRow, SiteRow},
    image::FleetImage,
};
use kioskwatch_proto::Timestamp;

use super::{Scope, Store, StoreError, sql::Query};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A closed ticket may be reopened for seven days, a called back one for seven days after the call.
const KEEP_CLOSED_TICKETS_MS: i64 = 31 * DAY_MS;
/// Reports are restated for the last month; two months are never less than that.
const KEEP_EXCLUSIONS_MS: i64 = 62 * DAY_MS;

/// Kiosks of one part: what is read of them lives beside the fleet while it is taken in.
const KIOSKS_A_PART: i64 = 250;
const SITES_A_PART: i64 = 250;

/// The first and the last kiosk or site of a part.
pub(super) struct Ends(String, String);

impl Ends {
    fn of<T: ToString>(mut ids: impl DoubleEndedIterator<Item = T>) -> Option<Self> {
        let first = ids.next()?.to_string();
        let last = ids.next_back().map_or_else(|| first.clone(), |id| id.to_string());
        Some(Self(first, last))
    }

    pub(super) fn bind(&self, query: Query) -> Query {
        query.bind(self.0.clone()).bind(self.1.clone())
    }
}

/// What is known of some rows, and the rows behind them. `None`: there are none.
type Part<T> = Option<(FleetImage, Vec<T>)>;

impl Store {
    /// Hands out the image part by part, so that a large fleet is never in memory twice: sites, then some
    /// kiosks at a time, then what is going on. Read as of one moment only while nobody writes: a server loads
    /// it before it begins. Gives when a server was last known to receive.
    pub async fn load_parts(
        &self,
        now: Timestamp,
        mut take: impl FnMut(FleetImage),
    ) -> Result<Option<Timestamp>, StoreError> {
        let sites = self.next_sites(None, SITES_A_PART).await?;
        self.take_parts(sites, Self::part_of_sites, &mut take).await?;
        let kiosks = self.next_kiosks(None, KIOSKS_A_PART).await?;
        self.take_parts(kiosks, Self::part_of_kiosks, &mut take).await?;
        let closed_since = now.plus_ms(-KEEP_CLOSED_TICKETS_MS);
        let excluded_since = now.plus_ms(-KEEP_EXCLUSIONS_MS);
        let last_alive_at = self.last_alive_at().await?;
        take(FleetImage {
            open_incidents: self.open_incidents().await?,
            tickets: self.living_tickets(closed_since).await?,
            ticket_events: self.last_ticket_events(closed_since).await?,
            clocks: self.living_clocks(closed_since).await?,
            open_commands: self.open_commands().await?,
            exclusions: self.exclusions(&Scope::All, excluded_since, Timestamp(i64::MAX)).await?,
            last_ticket_number: self.last_ticket_number().await?,
            last_alive_at,
            ..FleetImage::default()
        });
        Ok(last_alive_at)
    }

    /// Part by part, beginning with these rows.
    async fn take_parts<T, P>(
        &self,
        mut rows: Vec<T>,
        part_of: impl Fn(Self, Vec<T>) -> P,
        mut take: impl FnMut(FleetImage),
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        P: Future<Output = Result<Part<T>, StoreError>> + Send + 'static,
    {
        let mut read = None;
        loop {
            // The next part is read meanwhile, by another thread: to understand it is half of the work.
            let reading = tokio::spawn(part_of(self.clone(), rows));
            read.take().into_iter().for_each(&mut take);
            let next = match reading.await {
                Ok(next) => next?,
                Err(ended) => std::panic::resume_unwind(ended.into_panic()),
            };
            let Some((part, behind)) = next else { return Ok(()) };
            (read, rows) = (Some(part), behind);
        }
    }

    async fn part_of_sites(self, sites: Vec<SiteRow>) -> Result<Part<SiteRow>, StoreError> {
        let Some(ends) = Ends::of(sites.iter().map(|row| &row.id)) else { return Ok(None) };
        let (behind, terms_noted) = tokio::try_join!(
            self.next_sites(sites.last().map(|row| &row.id), SITES_A_PART),
            self.terms_noted_between(&ends),
        )?;
        Ok(Some((FleetImage { sites, terms_noted, ..FleetImage::default() }, behind)))
    }

    async fn part_of_kiosks(self, kiosks: Vec<KioskRow>) -> Result<Part<KioskRow>, StoreError> {
        let Some(ends) = Ends::of(kiosks.iter().map(|row| &row.id)) else { return Ok(None) };
        let (behind, assignments, states, heads) = tokio::try_join!(
            self.next_kiosks(kiosks.last().map(|row| &row.id), KIOSKS_A_PART),
            self.assignments_between(&ends),
            self.states_between(&ends),
            self.journal_heads_between(&ends),
        )?;
        Ok(Some((FleetImage { kiosks, assignments, states, heads, ..FleetImage::default() }, behind)))
    }

    /// The whole image at once.
    pub async fn load_image(&self, now: Timestamp) -> Result<FleetImage, StoreError> {
        let mut image = FleetImage::default();
        self.load_parts(now, |part| image.append(part)).await?;
        Ok(image)
    }
}
