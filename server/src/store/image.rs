//! What a server starts from: everything that can still change.
use kioskwatch_domain::image::FleetImage;
use kioskwatch_proto::Timestamp;

use super::{Scope, Store, StoreError};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A closed ticket may be reopened for seven days, a called back one for seven days after the call.
const KEEP_CLOSED_TICKETS_MS: i64 = 31 * DAY_MS;
/// Reports are restated for the last month; two months are never less than that.
const KEEP_EXCLUSIONS_MS: i64 = 62 * DAY_MS;

impl Store {
    /// Read as of one moment only while nobody writes: a server loads it before it begins.
    pub async fn load_image(&self, now: Timestamp) -> Result<FleetImage, StoreError> {
        let closed_since = now.plus_ms(-KEEP_CLOSED_TICKETS_MS);
        let excluded_since = now.plus_ms(-KEEP_EXCLUSIONS_MS);
        Ok(FleetImage {
            sites: self.all_sites().await?,
            kiosks: self.all_kiosks().await?,
            assignments: self.all_assignments().await?,
            states: self.all_states().await?,
            heads: self.all_journal_heads().await?,
            open_incidents: self.open_incidents().await?,
            tickets: self.living_tickets(closed_since).await?,
            ticket_events: self.last_ticket_events(closed_since).await?,
            clocks: self.living_clocks(closed_since).await?,
            open_commands: self.open_commands().await?,
            exclusions: self.exclusions(&Scope::All, excluded_since, Timestamp(i64::MAX)).await?,
            last_ticket_number: self.last_ticket_number().await?,
            last_alive_at: self.last_alive_at().await?,
        })
    }
}
