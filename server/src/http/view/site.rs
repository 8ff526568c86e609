//! A site as JSON.
use kioskwatch_domain::change::SiteRow;
use kioskwatch_proto::{SiteId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::json;

/// A place with kiosks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Site)]
pub(crate) struct SiteView {
    #[schema(value_type = String)]
    id: SiteId,
    name: String,
    region: String,
    customer: String,
    /// `urban`, `suburb` or `remote`: how soon somebody can be there.
    zone: &'static str,
    /// IANA zone.
    timezone: String,
    /// Versions of the opening hours; null or empty: always open.
    service_hours: Value,
    /// For people: names, phones.
    contacts: Value,
    /// Whether read-only commands may run by themselves.
    remote_consent: bool,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<SiteRow> for SiteView {
    fn from(row: SiteRow) -> Self {
        Self {
            service_hours: json(&row.service_hours),
            contacts: json(&row.contacts),
            id: row.id,
            name: row.name,
            region: row.region,
            customer: row.customer,
            zone: row.zone.as_str(),
            timezone: row.timezone,
            remote_consent: row.remote_consent,
            updated_at: row.updated_at,
        }
    }
}
