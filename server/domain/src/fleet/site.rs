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
    /// A new site with the hours that its row says.
    pub(super) fn with(row: Arc<SiteRow>, hours: Arc<Hours>) -> Self {
        Self {
            row,
            terms_noted: None,
            hours,
            kiosks: Arc::default(),
            outage: None,
            tickets: Vec::new(),
            windows: Vec::new(),
        }
    }
}
