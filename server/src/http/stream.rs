//! Server-sent events: bounded in number, ended by a stop, by a credential that is no longer valid, or by a
//! reader that went away.
use std::{collections::VecDeque, convert::Infallible, pin::Pin, time::Duration};

use axum::response::{
    Sse,
    sse::{Event, KeepAlive},
};
use futures_util::{Stream, stream::unfold};
use kioskwatch_proto::CommandId;
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, watch},
    time::Interval,
};

use super::{
    Caller, Problem, Web, commands::command_in_scope, events, events::EventView, view::CommandDetail,
    view::CommandStep,
};
use crate::app::LiveEvent;

/// A comment this often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a revoked token or an ended session ends its streams.
const CHECK_CREDENTIAL: Duration = Duration::from_secs(30);

pub(super) type LiveResponse = Sse<axum::response::sse::KeepAliveStream<LiveStream>>;
type LiveStream = Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

/// What one reader holds.
struct Reader {
    web: Web,
    caller: Caller,
    live: broadcast::Receiver<LiveEvent>,
    stop: watch::Receiver<bool>,
    check: Interval,
    /// Freed when the stream is dropped.
    _place: OwnedSemaphorePermit,
}

/// What a reader has to react to.
enum News {
    Event(Box<LiveEvent>),
    Missed,
    End,
}

impl Reader {
    fn new(web: &Web, caller: Caller, live: broadcast::Receiver<LiveEvent>) -> Result<Self, Problem> {
        let place = web.shared.streams.clone().try_acquire_owned().map_err(|_| {
            Problem::unavailable("too_many_streams", "no more live streams; see [http] max_sse")
        })?;
        let mut check = tokio::time::interval(CHECK_CREDENTIAL);
        check.reset();
        let stop = web.shared.stop.clone();
        Ok(Self { web: web.clone(), caller, live, stop, check, _place: place })
    }

    async fn next(&mut self) -> News {
        loop {
            tokio::select! {
                biased;
                _ = self.stop.changed() => return News::End,
                _ = self.check.tick() => {
                    if !self.web.auth().still_valid(&self.caller.credential).await {
                        return News::End;
                    }
                }
                received = self.live.recv() => return match received {
                    Ok(event) => News::Event(Box::new(event)),
                    Err(broadcast::error::RecvError::Lagged(_)) => News::Missed,
                    Err(broadcast::error::RecvError::Closed) => News::End,
                },
            }
        }
    }
}

/// Everything in the caller's scope.
pub(super) fn of_fleet(
    web: &Web,
    caller: Caller,
    live: broadcast::Receiver<LiveEvent>,
) -> Result<LiveResponse, Problem> {
    let reader = Reader::new(web, caller, live)?;
    let stream = unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        loop {
            match reader.next().await {
                News::Event(event) if events::is_for(&reader.caller, &event) => {
                    let event = named(event.kind.as_str(), &EventView::of(&event));
                    return Some((Ok(event), Some(reader)));
                }
                News::Event(_) => {}
                News::Missed => return Some((Ok(Event::default().event("reload").data("{}")), Some(reader))),
                News::End => return None,
            }
        }
    });
    Ok(respond(Box::pin(stream)))
}

/// A command being watched: what was told so far, and what is still to be told.
struct Watched {
    reader: Reader,
    id: CommandId,
    told: usize,
    waiting: VecDeque<Event>,
    ended: bool,
}

/// The steps of one command, from its first; the stored steps are the truth, an event only says "look".
pub(super) fn of_command(
    web: &Web,
    caller: Caller,
    live: broadcast::Receiver<LiveEvent>,
    id: CommandId,
) -> Result<LiveResponse, Problem> {
    let reader = Reader::new(web, caller, live)?;
    let watched = Watched { reader, id, told: 0, waiting: VecDeque::new(), ended: false };
    let stream = unfold((watched, true), |(mut watched, mut look)| async move {
        let name = watched.id.to_string();
        loop {
            if let Some(event) = watched.waiting.pop_front() {
                return Some((Ok(event), (watched, false)));
            }
            if watched.ended {
                return None;
            }
            if look {
                watched.look().await;
                look = false;
                continue;
            }
            match watched.reader.next().await {
                News::Event(event) => look = event.id.as_deref() == Some(name.as_str()),
                News::Missed => look = true,
                News::End => return None,
            }
        }
    });
    Ok(respond(Box::pin(stream)))
}

impl Watched {
    async fn look(&mut self) {
        // A store that does not answer now is asked again at the next event.
        let Ok(view) = command_in_scope(&self.reader.web, &self.reader.caller, self.id).await else { return };
        for step in view.events.iter().skip(self.told) {
            self.waiting.push_back(named("progress", &CommandStep::from(step)));
        }
        self.told = self.told.max(view.events.len());
        if view.command.state.is_final() {
            self.waiting.push_back(named("done", &CommandDetail::from(view)));
            self.ended = true;
        }
    }
}

fn named(name: &'static str, data: &impl serde::Serialize) -> Event {
    // Our own views have text keys and finite numbers.
    let text = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(text)
}

fn respond(stream: LiveStream) -> LiveResponse {
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
