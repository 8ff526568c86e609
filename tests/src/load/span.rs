//! What server and bare subscriber took of what was sent, each until its last message, and what that cost.
use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{
    fleet::{BareSubscriber, Fleet, Pace, Sent},
    goal::Goal,
    page::Page,
    process::Resident,
    stage::Stage,
};

/// Nothing more comes when nothing came for this long.
const STILL_FOR: Duration = Duration::from_millis(500);
/// It is looked whether the server has taken more after each such part of the time so far. What it takes is counted until
/// the look that found it, so that its rate is shown too small rather than too large, by this part and the look itself.
const LOOKS: u32 = 400;

/// What was measured from the first message on.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub sent: Sent,
    /// Of a bare subscriber to the same broker.
    pub bare: Taken,
    pub server: Taken,
    /// Of the server, over the same time as `server`.
    pub cpu: Duration,
    pub dropped: u64,
    grown: i64,
    memory: Resident,
}

/// Messages, and how long it took until the last of them was there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Taken {
    pub messages: u64,
    pub within: Duration,
}

impl Taken {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn rate(self) -> f64 {
        self.messages as f64 / self.within.as_secs_f64().max(1e-9)
    }
}

/// One look at what has been taken since the first message.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Since the first message.
    at: Duration,
    server: u64,
    cpu: Duration,
    bare: Taken,
}

/// When the last message came, by looks that go on until nothing more comes.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// The look at which the server had taken more than before.
    server: Look,
    /// The look at which anybody had.
    moved: Duration,
    bare: Taken,
}

impl Tail {
    fn begin(look: Look) -> Self {
        Self { server: look, moved: look.at, bare: look.bare }
    }

    /// `true`: of so many that were sent nothing more is to come.
    fn see(&mut self, look: Look, sent: u64) -> bool {
        if look.server > self.server.server {
            (self.server, self.moved) = (look, look.at);
        }
        if look.bare.messages > self.bare.messages {
            (self.bare, self.moved) = (look.bare, look.at);
        }
        let all_came = self.server.server >= sent && self.bare.messages >= sent;
        all_came || look.at >= self.moved + STILL_FOR
    }
}

/// Plays, and waits for what is still on its way.
pub async fn measure(
    stage: &Stage,
    bare: &BareSubscriber,
    fleet: &mut Fleet,
    pace: Pace,
) -> Result<Span, String> {
    let process = stage.process()?;
    let bytes = || async { stage.store.bytes().await.map_err(|e| e.to_string()) };
    let (before, size) = (Page::read(&stage.server).await?, bytes().await?);
    let (heard, cpu, started) = (bare.received(), process.cpu()?, Instant::now());
    let sent = fleet.play(pace).await?;
    let look = async || {
        let page = Page::read(&stage.server).await?;
        let bare = Taken {
            messages: bare.received() - heard,
            within: bare.last_at().saturating_duration_since(started),
        };
        let (at, cpu) = (started.elapsed(), process.cpu()?.saturating_sub(cpu));
        let server = page.heartbeats() - before.heartbeats();
        Ok::<_, String>((Look { at, server, cpu, bare }, page))
    };
    let (first, mut page) = look().await?;
    let mut tail = Tail::begin(first);
    let mut seen = first;
    while !tail.see(seen, sent.heartbeats) {
        tokio::time::sleep(started.elapsed() / LOOKS).await;
        (seen, page) = look().await?;
    }
    Ok(Span {
        sent,
        bare: tail.bare,
        server: Taken { messages: tail.server.server, within: tail.server.at },
        cpu: tail.server.cpu,
        dropped: page.dropped() - before.dropped(),
        grown: bytes().await?.cast_signed() - size.cast_signed(),
        memory: process.resident_kib()?,
    })
}

impl Span {
    /// The server's rate as a part of the bare subscriber's.
    pub fn share(&self) -> f64 {
        self.server.rate() / self.bare.rate().max(1e-9)
    }

    /// µs a heartbeat.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.server.messages.max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn write(&self, f: &mut fmt::Formatter<'_>, head: &str, kiosks: u32) -> fmt::Result {
        let late = |taken: Taken| {
            let seconds = taken.within.as_secs_f64() - self.sent.seconds;
            format!("the last {:.0} ms after the end", seconds.max(0.0) * 1e3)
        };
        writeln!(f, "{head}")?;
        writeln!(f, "  heartbeats sent               {:>10.0} /s", self.sent.rate())?;
        writeln!(f, "  received by a bare subscriber {:>10.0} /s, {}", self.bare.rate(), late(self.bare))?;
        let share = self.share() * 100.0;
        writeln!(
            f,
            "  taken by the server           {:>10.0} /s, {}; {share:.1} % of the bare subscriber {}",
            self.server.rate(),
            late(self.server),
            Goal::AtLeast(90.0).of(share)
        )?;
        let each = self.cpu_each();
        writeln!(
            f,
            "  server CPU                    {each:>10.1} µs a heartbeat, all else included {}; {:.1} % of a core",
            Goal::AtMost(15.0).of(each),
            self.cpu.as_secs_f64() * 100.0 / self.server.within.as_secs_f64().max(1e-9)
        )?;
        let [memory, most] = [self.memory.all, self.memory.most].map(|kib| kib as f64 / 1_024.0);
        let goal = Goal::of_memory(kiosks).map_or(String::new(), |goal| format!("{} ", goal.of(memory)));
        writeln!(
            f,
            "  server memory                 {memory:>10.1} MiB {goal}(Zabbix 6.0 with its database 458); {most:.1} at most so far"
        )?;
        let grown = self.grown as f64 / 1_048_576.0;
        let a_million = grown * 1e6 / self.server.messages.max(1) as f64;
        writeln!(
            f,
            "  database growth               {grown:>10.2} MiB, {a_million:.2} MiB a million heartbeats {} (Zabbix 6.0 89)",
            Goal::AtMost(1.0).of(a_million)
        )?;
        writeln!(f, "  dropped by full queues        {:>10}", self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: u64, server: u64, bare: u64, bare_ms: u64) -> Look {
        let bare = Taken { messages: bare, within: Duration::from_millis(bare_ms) };
        Look { at: Duration::from_millis(at_ms), server, cpu: Duration::from_millis(at_ms / 2), bare }
    }

    /// What the tail says after these looks, and which of them was the last that was needed.
    fn tail(sent: u64, looks: &[Look]) -> (Tail, usize) {
        let mut tail = Tail::begin(looks[0]);
        let last = looks.iter().position(|look| tail.see(*look, sent)).expect("an end");
        (tail, last)
    }

    fn span(sent: u64, looks: &[Look]) -> Span {
        let (Tail { server, bare, .. }, _) = tail(sent, looks);
        Span {
            sent: Sent { heartbeats: sent, seconds: 10.0, ..Sent::default() },
            bare,
            server: Taken { messages: server.server, within: server.at },
            cpu: server.cpu,
            dropped: 0,
            grown: 0,
            memory: Resident::default(),
        }
    }

    #[test]
    fn a_server_that_takes_twice_as_long_has_half_the_share_although_it_takes_everything() {
        let looks: Vec<Look> =
            (0..=100).map(|i| look(10_000 + i * 100, 500 + i * 5, 1_000, 10_000)).collect();
        let span = span(1_000, &looks);
        assert_eq!(span.server, Taken { messages: 1_000, within: Duration::from_secs(20) });
        assert!((span.share() - 0.5).abs() < 1e-6, "{}", span.share());
        assert!((span.cpu_each() - 10_000.0).abs() < 1e-6, "{}", span.cpu_each());
    }

    #[test]
    fn nobody_waits_once_all_that_was_sent_has_come() {
        assert_eq!(tail(1_000, &[look(10_030, 1_000, 1_000, 10_001)]).1, 0);
    }

    #[test]
    fn what_is_lost_is_waited_for_and_the_waiting_is_not_counted() {
        let looks: Vec<Look> = (0..9).map(|i| look(10_000 + i * 100, 900, 1_000, 10_000)).collect();
        let (tail, last) = tail(1_000, &looks);
        assert_eq!((last, tail.server.at), (5, Duration::from_secs(10)));
    }
}
