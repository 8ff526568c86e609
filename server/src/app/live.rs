//! Committed changes, as open pages and API clients hear of them.
use kioskwatch_domain::{change::Change, fleet::Fleet};
use kioskwatch_proto::{CommandId, KioskId, SiteId};
use serde::Serialize;
use uuid::Uuid;

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

/// Whose a thing is: a listener's scope is a set of sites.
pub trait Whose {
    fn site_of(&self, kiosk: &KioskId) -> Option<SiteId>;
    /// Site and kiosk of a ticket.
    fn ticket(&self, id: Uuid) -> (Option<SiteId>, Option<KioskId>);
    /// The kiosk a command was for.
    fn command(&self, id: CommandId) -> Option<KioskId>;
}

impl Whose for Fleet {
    fn site_of(&self, kiosk: &KioskId) -> Option<SiteId> {
        self.kiosk(kiosk)?.site.cloned()
    }

    fn ticket(&self, id: Uuid) -> (Option<SiteId>, Option<KioskId>) {
        Fleet::ticket(self, id).map(|row| (row.site.clone(), row.kiosk.clone())).unwrap_or_default()
    }

    fn command(&self, id: CommandId) -> Option<KioskId> {
        Fleet::command(self, id).map(|row| row.kiosk.clone())
    }
}

impl LiveEvent {
    /// What a committed change says to listeners; most say nothing.
    pub fn of(change: &Change, whose: &impl Whose) -> Option<Self> {
        let site_of = |kiosk: &KioskId| whose.site_of(kiosk);
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
            Change::TicketEvent(row) if row.from == Some(row.to) => {
                let (site, kiosk) = whose.ticket(row.ticket);
                Self {
                    kind: LiveKind::Ticket,
                    site,
                    kiosk,
                    id: Some(row.ticket.to_string()),
                    state: row.to.as_str().to_owned(),
                    at_ms: row.at.ms(),
                    text: row.action.clone(),
                    percent: None,
                }
            }
            Change::Command(row) => Self {
                id: Some(row.id.to_string()),
                state: row.state.as_str().to_owned(),
                at_ms: row.finished_at.or(row.sent_at).unwrap_or(row.requested_at).ms(),
                text: row.reason.clone().unwrap_or_default(),
                ..about(LiveKind::Command, &row.kiosk)
            },
            Change::CommandEvent(row) => {
                let kiosk = whose.command(row.command);
                Self {
                    kind: LiveKind::Command,
                    site: kiosk.as_ref().and_then(site_of),
                    kiosk,
                    id: Some(row.command.to_string()),
                    state: row.state.as_str().to_owned(),
                    at_ms: row.at.ms(),
                    text: row.line.clone().unwrap_or_else(|| row.step.clone()),
                    percent: row.percent,
                }
            }
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

#[cfg(test)]
mod tests {
    use kioskwatch_domain::change::{CommandEventRow, CommandState, TicketEventRow, TicketState};
    use kioskwatch_proto::Timestamp;

    use super::*;

    /// One site, one kiosk, whatever is asked.
    struct Small;

    impl Whose for Small {
        fn site_of(&self, _: &KioskId) -> Option<SiteId> {
            Some(SiteId::new("S-01").unwrap())
        }

        fn ticket(&self, _: Uuid) -> (Option<SiteId>, Option<KioskId>) {
            (Some(SiteId::new("S-01").unwrap()), Some(KioskId::new("K-1").unwrap()))
        }

        fn command(&self, _: CommandId) -> Option<KioskId> {
            Some(KioskId::new("K-1").unwrap())
        }
    }

    #[test]
    fn who_sees_only_some_sites_hears_of_notes_and_progress_there() {
        let at = Timestamp::from_ms(1_000);
        let note = Change::TicketEvent(TicketEventRow {
            ticket: Uuid::from_u128(1),
            n: 2,
            at,
            actor: "token:desk".into(),
            action: "note".into(),
            from: Some(TicketState::New),
            to: TicketState::New,
            reason: String::new(),
        });
        let progress = Change::CommandEvent(CommandEventRow {
            command: CommandId(Uuid::from_u128(2)),
            at,
            state: CommandState::Started,
            step: "printing".into(),
            percent: Some(50),
            line: None,
        });
        for change in [note, progress] {
            let event = LiveEvent::of(&change, &Small).unwrap();
            assert_eq!(event.site.unwrap().as_str(), "S-01", "{change:?}");
            assert_eq!(event.kiosk.unwrap().as_str(), "K-1", "{change:?}");
        }
    }
}
