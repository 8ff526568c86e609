//! The use cases: load → decide → save in one transaction → tell.
//!
//! [`Hub`] is the one writer: every message, request and tick goes through it, is decided by the fleet in one
//! plan, committed, and only then acknowledged and told. Everybody else holds an [`App`]: reads of the store
//! and of the fleet in memory, and a way to ask the hub.
mod decode;
mod figures;
mod floods;
mod hub;
mod inspections;
mod live;
mod retention;
pub mod seed;
#[cfg(test)]
pub(crate) mod testing;
mod uptime;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU16, AtomicU64},
    },
    time::Duration,
};

use kioskwatch_domain::{
    calendar::WorkCalendar,
    fleet::{Actor, Answer, Fleet, Refusal, Request},
    policy::Policy,
};
use kioskwatch_proto::command::CommandSigner;
use tokio::sync::{broadcast, mpsc, oneshot};

pub(crate) use self::{
    floods::{Flood, Floods},
    uptime::MONTHS,
};
pub use self::{
    hub::{FLUSH_EVERY, Hub, HubError, HubOptions},
    inspections::{DueInspection, DuePage, inspection_policy},
    live::{LiveEvent, LiveKind},
    retention::{Retention, keep_to_retention},
    uptime::{
        Booked, DecisionError, Live, Measure, MonthVersions, NotLive, NoteError, Restated, UptimeAnswer,
        UptimeError, UptimeExplained, UptimePeriod, UptimeQuery, UptimeReader, UptimeScope, keep_books,
        unreadable,
    },
};
use crate::{clock::Clock, config::Config, metrics::Counters, store::Store};

/// Requests of people waiting for the hub.
pub const REQUEST_QUEUE: usize = 256;
/// How long somebody waits for an answer. What nobody waits for any more when the hub takes it is not carried out; what
/// it has taken may be committed later ([`uptime`] knows of that).
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Live events a slow listener may lag behind before it must reload.
pub const LIVE_QUEUE: usize = 4_096;

/// What every part of the server may use. Cheap to clone.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    clock: Arc<Clock>,
    store: Store,
    fleet: Arc<RwLock<Fleet>>,
    policy: Arc<Policy>,
    signer: CommandSigner,
    counters: Counters,
    requests: mpsc::Sender<Asked>,
    live: broadcast::Sender<LiveEvent>,
    health: Health,
    floods: Mutex<Floods>,
    books: uptime::Books,
    /// One scrape counts at a time.
    figuring: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

/// What `/readyz` says.
#[derive(Debug, Default)]
pub struct Health {
    pub broker: AtomicBool,
    pub database: AtomicBool,
    /// While it is not: why, in a few words.
    pub database_trouble: Mutex<&'static str>,
    pub stopping: AtomicBool,
    /// Messages received and not yet decided.
    pub waiting_messages: AtomicU64,
    /// Of a thousand heartbeats, those that the broker drops before they reach us.
    pub heartbeats_lost: AtomicU16,
}

impl Health {
    /// Empty when everything is there.
    pub fn missing(&self) -> Vec<&'static str> {
        use std::sync::atomic::Ordering::Relaxed;
        let mut missing = Vec::new();
        if self.stopping.load(Relaxed) {
            missing.push("the server is stopping");
        }
        if !self.database.load(Relaxed) {
            let why = *self.database_trouble.lock().unwrap_or_else(PoisonError::into_inner);
            missing.push(if why.is_empty() { "the database has not answered yet" } else { why });
        }
        if !self.broker.load(Relaxed) {
            missing.push("the broker is not connected");
        }
        missing
    }
}

/// A request on its way to the hub.
struct Asked {
    actor: Actor,
    request: Request,
    asker: Asker,
}

/// Who waits for an answer, and until there is one keeps others from deciding about the books.
struct Asker {
    answer: oneshot::Sender<Result<Answer, RequestError>>,
    deciding: Option<uptime::Deciding>,
}

impl Asker {
    fn has_gone(&self) -> bool {
        self.answer.is_closed()
    }

    /// The next one decides first: whoever hears the answer finds nobody deciding because of it.
    fn answer(self, answer: Result<Answer, RequestError>) {
        drop(self.deciding);
        // Nobody listening is fine.
        let _ = self.answer.send(answer);
    }
}

/// Why a request came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing was changed, or the answer was lost with the server; asking again is safe for idempotent
    /// requests.
    #[error("the server cannot save changes now: {0}")]
    Unavailable(String),
    /// It can never be applied: a defect of ours.
    #[error("the server cannot save this: {0}")]
    Poisoned(String),
}

/// What an [`App`] is made of.
pub struct Parts {
    pub config: Config,
    pub clock: Arc<Clock>,
    pub store: Store,
    pub fleet: Fleet,
    pub policy: Arc<Policy>,
    pub signer: CommandSigner,
    pub counters: Counters,
}

impl App {
    /// The app, and the receiver of requests for its [`Hub`].
    pub fn new(parts: Parts) -> (Self, RequestReceiver) {
        let (requests, receiver) = mpsc::channel(REQUEST_QUEUE);
        let (live, _) = broadcast::channel(LIVE_QUEUE);
        let shared = Shared {
            config: parts.config,
            clock: parts.clock,
            store: parts.store,
            fleet: Arc::new(RwLock::new(parts.fleet)),
            policy: parts.policy,
            signer: parts.signer,
            counters: parts.counters,
            requests,
            live,
            health: Health::default(),
            floods: Mutex::default(),
            books: uptime::Books::default(),
            figuring: Arc::default(),
        };
        (Self { shared: Arc::new(shared) }, RequestReceiver(receiver))
    }

    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    pub fn clock(&self) -> &Arc<Clock> {
        &self.shared.clock
    }

    /// Who sends more than it may.
    pub(crate) fn floods(&self) -> MutexGuard<'_, Floods> {
        self.shared.floods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads only; writes go through [`App::request`].
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    pub fn calendar(&self) -> &WorkCalendar {
        &self.policy().calendar
    }

    pub fn signer(&self) -> &CommandSigner {
        &self.shared.signer
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// As many as the hub takes into one plan: they come before figures.
    pub(crate) fn messages_wait(&self) -> bool {
        const A_PLAN: u64 = 1_000;
        self.health().waiting_messages.load(std::sync::atomic::Ordering::Relaxed) >= A_PLAN
    }

    /// What keeps this server from being ready; empty when nothing does.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = self.health().missing();
        if self.store().is_damaged() {
            missing.push("a part of the database cannot be read: see `kioskwatch-server check`");
        }
        if self.books().decisions.clock_is_behind() {
            missing.push("the clock is behind what the database knows");
        }
        missing
    }

    /// The zone of times where no site is meant.
    pub fn default_zone(&self) -> chrono_tz::Tz {
        self.config().console.timezone.parse().unwrap_or(chrono_tz::UTC)
    }

    /// A short look at the fleet in memory. Never hold it across an `await`.
    pub fn fleet(&self) -> std::sync::RwLockReadGuard<'_, Fleet> {
        self.shared.fleet.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fleet_mut(&self) -> std::sync::RwLockWriteGuard<'_, Fleet> {
        self.shared.fleet.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn books(&self) -> &uptime::Books {
        &self.shared.books
    }

    /// Requests of people that wait for the hub.
    fn waiting_requests(&self) -> u64 {
        let requests = &self.shared.requests;
        (requests.max_capacity() - requests.capacity()) as u64
    }

    /// Asks the hub; answered after the commit.
    ///
    /// # Errors
    /// `Poisoned` for whatever is decided by what is stored, in the books or about the past: that is asked by
    /// [`uptime::Deciding::ask`] alone.
    pub async fn request(&self, actor: Actor, request: Request) -> Result<Answer, RequestError> {
        if request.needs_a_look() {
            return Err(RequestError::Poisoned("asked without a look at what is stored".to_owned()));
        }
        self.ask(actor, request, None).await
    }

    async fn ask(
        &self,
        actor: Actor,
        request: Request,
        deciding: Option<uptime::Deciding>,
    ) -> Result<Answer, RequestError> {
        let gone = || RequestError::Unavailable("the server is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        let asker = Asker { answer, deciding };
        let asked = async {
            self.shared.requests.send(Asked { actor, request, asker }).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        };
        let late = || RequestError::Unavailable(format!("no answer within {} s", REQUEST_LIMIT.as_secs()));
        tokio::time::timeout(REQUEST_LIMIT, asked).await.map_err(|_| late())?
    }

    /// Changes as they are committed, for pages that are open.
    pub fn live(&self) -> broadcast::Receiver<LiveEvent> {
        self.shared.live.subscribe()
    }

    fn tell(&self, event: LiveEvent) {
        // Nobody listening is fine.
        let _ = self.shared.live.send(event);
    }
}

/// Goes to the [`Hub`].
#[derive(Debug)]
pub struct RequestReceiver(mpsc::Receiver<Asked>);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("actor", &self.actor)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
