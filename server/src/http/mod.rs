//! The HTTP API, its documents and the monitoring listener. The console stands beside it on the same address.
//!
//! Knows: routes, JSON shapes, statuses. Must not know: SQL, MQTT, rules; it asks the [`App`].
//! A route is one function: its right ([`May`]), its input, a call of the app, a view of the answer.
mod audit;
mod caller;
mod commands;
mod corrections;
mod defects;
mod events;
mod faults;
mod headers;
mod input;
mod inspections;
mod kiosks;
mod monitoring;
mod months;
mod openapi;
mod patience;
mod problem;
mod restatements;
mod routes;
mod serve;
mod sites;
mod stream;
#[cfg(test)]
mod tests;
mod tickets;
mod timeline;
mod uptime;
pub(crate) mod view;

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

pub use self::{
    caller::{Caller, May, Needs},
    monitoring::monitoring_router,
    openapi::document as openapi_document,
    problem::Problem,
    routes::router,
    serve::{serve, serve_monitoring},
};
pub(crate) use self::{
    caller::{Correct, Operate, Restate, See, WorkTickets, address, cookie, refuse_foreign_sites},
    commands::{command_in_scope, give},
    input::{Body, Id, ListParams, PageQuery, Params, PeriodQuery, PutBody, parse},
    kiosks::kiosk_in_scope,
    restatements::outcomes as decide_restatements,
    sites::{Sites, site_names},
    tickets::{PostAction, act_on, ticket_in_scope},
    timeline::{Span, evidence_of, timeline_of, transitions},
    uptime::uptime_scope,
};
use crate::{app::App, auth::Auth};

/// What every route may use. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    shared: Arc<Shared>,
}

struct Shared {
    app: App,
    auth: Auth,
    streams: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

impl Web {
    /// `stop` ends the live streams, so that a stopping server does not wait for open pages.
    pub fn new(app: App, stop: watch::Receiver<bool>) -> Self {
        let auth = Auth::new(app.store().clone(), app.clock().clone());
        let streams = Arc::new(Semaphore::new(app.config().http.max_sse));
        Self { shared: Arc::new(Shared { app, auth, streams, stop }) }
    }

    pub fn app(&self) -> &App {
        &self.shared.app
    }

    pub fn auth(&self) -> &Auth {
        &self.shared.auth
    }

    /// `__Host-` binds the cookie to this host and to TLS; plain HTTP on a loopback cannot have it.
    pub(crate) fn session_cookie(&self) -> &'static str {
        if self.app().config().http.secure_cookies { "__Host-kioskwatch" } else { "kioskwatch_session" }
    }
}
