//! The event loop: everything that happens becomes one input of the engine, in one place, one at a time.
//!
//! The loop never waits for a disk, a port, the broker or the application. What takes time has a task of its
//! own and answers through [`Event`]; what must be durable first is remembered in [`Agent::waiting`] until
//! the journal says so.
mod agent;
mod perform;
mod start;
mod tell;

use std::time::Duration;

use kioskwatch_agent_core::input::{Input, Now};
use kioskwatch_proto::{PeripheralName, words::ShutdownReason};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{Instant, interval, sleep_until},
};

pub use start::{Start, StartError, engine_config};

use self::agent::Agent;
use crate::{
    clock, config::Config, courier::CourierEvent, local_api::Call, mqtt::LinkEvent, serial::PortEvent,
};

/// Events that may wait for the loop. Ports wait for room, messages of the broker do not.
const EVENTS: usize = 256;
/// How often the terminal itself is looked at.
const HOST_EVERY: Duration = Duration::from_secs(10);
/// At the end, how long the last records may take to reach the server.
const FLUSH_LIMIT: Duration = Duration::from_secs(8);
/// … and how long without any progress is enough.
const FLUSH_PATIENCE: Duration = Duration::from_secs(3);

/// What reaches the loop from its tasks.
#[derive(Debug)]
pub(crate) enum Event {
    Port(PeripheralName, PortEvent),
    Link(LinkEvent),
    Courier(CourierEvent),
    Local(Call),
}

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything is said.
    Done,
    /// The journal is another one: begin again on it.
    Again { replaced: bool },
}

/// Why the agent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("listening for signals")]
    Signals(#[source] std::io::Error),
    #[error("the journal no longer answers")]
    JournalGone,
}

/// Requests to stop, counted: the second one means "at once".
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<u32>);

impl Stop {
    /// SIGTERM and SIGINT.
    pub fn from_signals() -> Result<Self, RunError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
        let (sender, stop) = Self::by_hand();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(stop)
    }

    /// For an agent inside another program: whoever raises the number asks it to stop.
    pub fn by_hand() -> (watch::Sender<u32>, Self) {
        let (sender, receiver) = watch::channel(0);
        (sender, Self(receiver))
    }

    async fn asked(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs the agent until it is told to stop.
pub async fn run(config: &Config, mut stop: Stop) -> Result<(), RunError> {
    let mut replaced = false;
    loop {
        match run_once(config, replaced, &mut stop).await? {
            Ending::Done => return Ok(()),
            Ending::Again { replaced: damaged } => replaced = damaged,
        }
    }
}

pub(crate) fn now() -> Now {
    let clock::Now { wall, mono_ms } = clock::now();
    Now { wall, mono: mono_ms }
}

async fn run_once(config: &Config, replaced: bool, stop: &mut Stop) -> Result<Ending, RunError> {
    let (mut agent, mut events) = Start::new(config)?.begin(replaced)?;
    first_records(&mut agent, stop.clone()).await?;
    agent.notifier.ready();
    let mut host = interval(HOST_EVERY);
    let mut watchdog = interval(agent.notifier.interval().unwrap_or(Duration::from_secs(3600)));
    loop {
        let wake = agent.engine.next_wake();
        tokio::select! {
            // Stopping first; then what is durable, so that it is told before something newer is done.
            biased;
            () = stop.asked() => agent.step(Input::Shutdown(ShutdownReason::Planned)),
            done = agent.next_written() => agent.written(done)?,
            _ = watchdog.tick() => agent.notifier.alive(),
            _ = host.tick() => {
                let load = agent.sampler.sample();
                agent.step(Input::Host(load));
            }
            // Every input lets the engine do what is due: a port that never stops talking starves no timer.
            Some(event) = events.recv() => agent.happened(event),
            () = clock::sleep_until(Some(wake)) => agent.step(Input::Wake),
        }
        if let Some(replaced) = agent.journal_replaced {
            tracing::warn!("beginning again on a new journal");
            leave(agent, events, "journal replaced").await;
            return Ok(Ending::Again { replaced });
        }
        if agent.stopping {
            break;
        }
    }
    agent.notifier.stopping();
    flush(&mut agent, &mut events, stop).await?;
    leave(agent, events, "stopped").await;
    Ok(Ending::Done)
}

/// What still happens is heard until the end: nobody who has something to say holds up the goodbye.
async fn leave(agent: Agent, mut events: mpsc::Receiver<Event>, reason: &str) {
    let listen = async {
        while events.recv().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = agent.leave(reason) => {}
        () = listen => {}
    }
}

/// Nothing else happens before the first records are on disk, unless it has no room for them: a kiosk with a full disk
/// still lives. Whoever asks to stop meanwhile is heard by the loop.
async fn first_records(agent: &mut Agent, mut stop: Stop) -> Result<(), RunError> {
    let journal = agent.journal.clone();
    while !agent.waiting.is_empty() {
        tokio::select! {
            biased;
            done = agent.next_written() => agent.written(done)?,
            () = journal.no_room() => break,
            () = stop.asked() => break,
        }
    }
    Ok(())
}

/// The last records are on disk before anything else, unless it has no room for them; then the server gets some
/// seconds to have them.
async fn flush(
    agent: &mut Agent,
    events: &mut mpsc::Receiver<Event>,
    stop: &mut Stop,
) -> Result<(), RunError> {
    let journal = agent.journal.clone();
    let deadline = Instant::now() + FLUSH_LIMIT;
    while !agent.waiting.is_empty() {
        tokio::select! {
            biased;
            done = agent.next_written() => agent.written(done)?,
            () = journal.no_room() => {
                tracing::error!("no room for the last records: the next start tells that the end was not orderly");
                break;
            }
            () = sleep_until(deadline) => break,
            () = stop.asked() => break,
        }
    }
    let mut progress_by = Instant::now() + FLUSH_PATIENCE;
    let mut head = agent.journal.head();
    let mut acked = head.borrow().acked;
    while agent.mqtt.is_connected() && head.borrow_and_update().pending() > 0 {
        tokio::select! {
            () = sleep_until(deadline.min(progress_by)) => break,
            // Whoever asks twice means it.
            () = stop.asked() => break,
            Some(event) = events.recv() => agent.happened(event),
            _ = head.changed() => {
                if head.borrow().acked > acked {
                    acked = head.borrow().acked;
                    progress_by = Instant::now() + FLUSH_PATIENCE;
                }
            }
        }
    }
    let pending = head.borrow().pending();
    tracing::info!(pending, "stopping");
    Ok(())
}

#[cfg(test)]
mod tests;
