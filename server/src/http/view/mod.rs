//! JSON shapes of the API: the field names of the contract, made from rows and from the fleet in memory.
mod command;
mod kiosk;
mod site;
mod ticket;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::{
    command::{CommandDetail, CommandStep},
    kiosk::{KioskDetail, KioskNow, KioskView, PeripheralView, inventory},
    site::SiteView,
    ticket::{TicketDetail, TicketView},
};
use crate::store::{Page, Scope};

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listed<T: ToSchema> {
    pub(crate) items: Vec<T>,
    /// Send it back as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

impl<T: ToSchema> Listed<T> {
    pub(crate) fn of<R>(page: Page<R>, view: impl FnMut(R) -> T) -> Self {
        Self { items: page.items.into_iter().map(view).collect(), next_cursor: page.next_cursor }
    }
}

/// JSON that is kept as text; nothing when it is empty or unreadable.
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or(serde_json::Value::Null)
}

/// Figures before and after that are kept as JSON, with the shares of the sites that its reader sees and no other.
pub(crate) fn figures(text: &str, reader: &Scope) -> serde_json::Value {
    let mut told = json(text);
    hide(&mut told, reader);
    told
}

/// At any depth: a correction tells its months by name.
fn hide(told: &mut serde_json::Value, reader: &Scope) {
    for (name, value) in told.as_object_mut().into_iter().flatten() {
        match value.as_array_mut().filter(|_| name == "shares") {
            Some(shares) => shares.retain(|share| {
                reader.shows(share["site"].as_str().and_then(|site| site.parse().ok()).as_ref())
            }),
            None => hide(value, reader),
        }
    }
}
