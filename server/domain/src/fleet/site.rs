//! One site in memory.
use std::sync::Arc;

use kioskwatch_proto::SiteId;
use uuid::Uuid;

use super::{
    Ix,
    hours::{Hours, Window},
};
use crate::change::{SiteRow, Zone};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Site {
    pub(super) id: SiteId,
    pub(super) zone: Zone,
    pub(super) hours: Arc<Hours>,
    /// Whether read-only commands may run by themselves.
    pub(super) remote_consent: bool,
    pub(super) kiosks: Arc<Vec<Ix>>,
    /// The open site incident.
    pub(super) outage: Option<Uuid>,
    /// Tickets of the site itself: outages and batches.
    pub(super) tickets: Vec<Uuid>,
    pub(super) windows: Vec<Window>,
}

impl Site {
    /// A new site from its row; hours that cannot be read count as always open.
    pub(super) fn of(row: &SiteRow) -> Self {
        let hours = Hours::parse(&row.timezone, &row.service_hours).unwrap_or_else(|_| Hours::always());
        Self {
            id: row.id.clone(),
            zone: row.zone,
            hours: Arc::new(hours),
            remote_consent: row.remote_consent,
            kiosks: Arc::default(),
            outage: None,
            tickets: Vec::new(),
            windows: Vec::new(),
        }
    }
}
