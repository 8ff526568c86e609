//! Committed changes, as open pages and API clients hear of them.
use kioskwatch_domain::change::Change;
use kioskwatch_proto::{KioskId, SiteId};
use serde::Serialize;

/// What changed; the listener fetches the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveKind {
    Presence,
    Service,
    Fault,
    Ticket,
    Command,
    Kiosk,
    Site,
}

impl LiveKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Service => "service",
            Self::Fault => "fault",
            Self::Ticket => "ticket",
            Self::Command => "command",
            Self::Kiosk => "kiosk",
            Self::Site => "site",
        }
    }
}

/// One event of `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveEvent {
    pub kind: LiveKind,
    /// For the listener's scope; `None`: not assigned to a site.
    pub site: Option<SiteId>,
    pub kiosk: Option<KioskId>,
    /// Ticket, incident or command.
    pub id: Option<String>,
    /// The new state in a word.
    pub state: String,
    /// Milliseconds since 1970 when it became true.
    pub at_ms: i64,
    /// A sentence, a fault code, a step: for people.
    pub text: String,
    pub percent: Option<u8>,
}

impl LiveEvent {
    /// What a committed change says to listeners; most say nothing. `site_of` answers for kiosks.
    pub fn of(change: &Change, site_of: impl Fn(&KioskId) -> Option<SiteId>) -> Option<Self> {
        let about = |kind, kiosk: &KioskId| Self {
            kind,
            site: site_of(kiosk),
            kiosk: Some(kiosk.clone()),
            id: None,
            state: String::new(),
            at_ms: 0,
            text: String::new(),
            percent: None,
        };
        Some(match change {
            Change::Transition(row) => {
                let kind = match row.kind.as_str() {
                    "presence" => LiveKind::Presence,
                    "service" => LiveKind::Service,
                    _ => LiveKind::Kiosk,
                };
                Self {
                    state: row.to.clone(),
                    at_ms: row.at.ms(),
                    text: row.reason.clone(),
                    ..about(kind, &row.kiosk)
                }
            }
            Change::Incident(row) => Self {
                kind: LiveKind::Fault,
                site: row.site.clone().or_else(|| row.kiosk.as_ref().and_then(&site_of)),
                kiosk: row.kiosk.clone(),
                id: Some(row.id.to_string()),
                state: if row.closed_at.is_some() { "cleared" } else { "raised" }.to_owned(),
                at_ms: row.closed_at.unwrap_or(row.opened_at).ms(),
                text: row.fault.to_string(),
                percent: None,
            },
            Change::Ticket(row) => Self {
                kind: LiveKind::Ticket,
                site: row.site.clone(),
                kiosk: row.kiosk.clone(),
                id: Some(row.id.to_string()),
                state: row.state.as_str().to_owned(),
                at_ms: row.t7.or(row.t5).unwrap_or(row.opened_at).ms(),
                text: row.fault.to_string(),
                percent: None,
            },
            // A note moves nothing, and the ticket's page shows it all the same.
            Change::TicketEvent(row) if row.from == Some(row.to) => Self {
                kind: LiveKind::Ticket,
                site: None,
                kiosk: None,
                id: Some(row.ticket.to_string()),
                state: row.to.as_str().to_owned(),
                at_ms: row.at.ms(),
                text: row.action.clone(),
                percent: None,
            },
            Change::Command(row) => Self {
                id: Some(row.id.to_string()),
                state: row.state.as_str().to_owned(),
                at_ms: row.finished_at.or(row.sent_at).unwrap_or(row.requested_at).ms(),
                text: row.reason.clone().unwrap_or_default(),
                ..about(LiveKind::Command, &row.kiosk)
            },
            Change::CommandEvent(row) => Self {
                kind: LiveKind::Command,
                site: None,
                kiosk: None,
                id: Some(row.command.to_string()),
                state: row.state.as_str().to_owned(),
                at_ms: row.at.ms(),
                text: row.line.clone().unwrap_or_else(|| row.step.clone()),
                percent: row.percent,
            },
            Change::Kiosk(row) => Self {
                site: row.site.clone(),
                state: row.admission.as_str().to_owned(),
                at_ms: row.updated_at.ms(),
                ..about(LiveKind::Kiosk, &row.id)
            },
            Change::Site(row) => Self {
                kind: LiveKind::Site,
                site: Some(row.id.clone()),
                kiosk: None,
                id: None,
                state: String::new(),
                at_ms: row.updated_at.ms(),
                text: row.name.clone(),
                percent: None,
            },
            _ => return None,
        })
    }
}
