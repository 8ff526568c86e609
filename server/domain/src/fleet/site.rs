//! One site in memory.
use std::sync::Arc;

use uuid::Uuid;

use super::{
    Ix,
    hours::{Hours, Window},
};
use crate::{change::SiteRow, image::TermsNoted};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Site {
    /// As it is stored.
    pub(super) row: Arc<SiteRow>,
    /// `None`: registered by a server that noted nothing, and never changed since.
    pub(super) terms_noted: Option<TermsNoted>,
    pub(super) hours: Arc<Hours>,
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
            row: Arc::new(row.clone()),
            terms_noted: None,
            hours: Arc::new(hours),
            kiosks: Arc::default(),
            outage: None,
            tickets: Vec::new(),
            windows: Vec::new(),
        }
    }
}
