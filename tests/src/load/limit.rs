//! How many heartbeats a second this machine carries through a broker: rates that double until somebody falls behind.
use std::{fmt::Write as _, time::Duration};

use super::{
    fleet::{BareSubscriber, Fleet, Pace},
    goal::Goal,
    options::LimitOptions,
    span::measure,
    stage::{FloodLimit, Stage},
};

/// Of what it should have taken: whoever takes less has fallen behind.
const KEEPS_UP: f64 = 0.9;
/// No broker here carries as many.
const MOST: u64 = 1_000_000;
/// How often the span between a rate that the bare subscriber holds and one that it does not is halved.
const HALVED: u32 = 2;

/// What one rate brought.
#[derive(Debug, Clone, Copy)]
struct Tried {
    asked: f64,
    sent: f64,
    bare: f64,
    server: f64,
}

impl Tried {
    /// The server's rate as a part of the bare subscriber's.
    fn share(&self) -> f64 {
        self.server / self.bare.max(1.0)
    }

    /// Whether the rate came through the broker as it was asked for.
    fn is_held(&self) -> bool {
        self.sent >= self.asked * KEEPS_UP && self.bare >= self.asked * KEEPS_UP
    }

    /// Whoever is behind.
    fn behind(&self) -> Option<&'static str> {
        [
            (self.share(), "the server, behind the bare subscriber"),
            (self.bare / self.sent, "the broker: its bare subscriber did not get what was sent"),
            (self.sent / self.asked, "the generator, or the broker that holds it back"),
        ]
        .into_iter()
        .find_map(|(part, who)| (part < KEEPS_UP).then_some(who))
    }
}

/// Which rate is next: twice as many until the bare subscriber does not hold it, then between.
#[derive(Debug, Clone, Copy)]
struct Search {
    held: Option<Tried>,
    lost: Option<u64>,
    next: Option<u64>,
    halved: u32,
}

impl Search {
    fn from(rate: u64) -> Self {
        Self { held: None, lost: None, next: Some(rate.max(1)), halved: 0 }
    }

    fn tried(&mut self, rate: u64, tried: Tried) {
        if tried.is_held() {
            self.held = Some(tried);
        } else {
            self.lost = Some(rate);
        }
        self.next = match (self.held, self.lost) {
            (_, None) => rate.checked_mul(2).filter(|next| *next <= MOST),
            (Some(held), Some(lost)) if self.halved < HALVED => {
                self.halved += 1;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
                let held = held.asked as u64;
                Some(u64::midpoint(held, lost))
            }
            _ => None,
        };
    }

    /// With the goal, which is held against the highest rate that can be compared at all.
    fn verdict(&self) -> String {
        match self.held {
            None => "  the bare subscriber holds none of these rates\n".to_owned(),
            Some(held) => {
                let share = held.share() * 100.0;
                format!(
                    "  at {:.0} /s, the most that the bare subscriber holds: {share:.1} % of it {}\n",
                    held.asked,
                    Goal::AtLeast(90.0).of(share)
                )
            }
        }
    }
}

pub async fn run(options: &LimitOptions) -> Result<String, String> {
    let crowd = &options.crowd;
    let stage = Stage::set(&options.stage, FloodLimit::Lifted, crowd.kiosks).await?;
    let broker = stage.mosquitto.address();
    let bare = BareSubscriber::start(broker).await?;
    let mut fleet = Fleet::connect(crowd.kiosks, crowd.connections, crowd.interval, broker).await?;
    fleet.introduce().await?;
    let length = Duration::from_secs(options.seconds);
    let mut text = format!(
        "{} kiosks on {} connections, Mosquitto, {} s at each rate\n{:>10} {:>10} {:>10} {:>10} {:>9} {:>16} {:>9}\n",
        crowd.kiosks,
        crowd.connections,
        options.seconds,
        "asked /s",
        "sent /s",
        "bare /s",
        "server /s",
        "share",
        "µs a heartbeat",
        "dropped"
    );
    let (mut search, mut first_behind) = (Search::from(options.from), None);
    while let Some(rate) = search.next {
        let pace = Pace { heartbeats: rate, faults: 0, length };
        let span = measure(&stage, &bare, &mut fleet, pace).await?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let tried = Tried {
            asked: rate as f64,
            sent: span.sent.rate(),
            bare: span.bare.rate(),
            server: span.server.rate(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>10.0} {:>10.0} {:>10.0} {:>10.0} {:>7.1} % {:>16.1} {:>9}",
            tried.asked,
            tried.sent,
            tried.bare,
            tried.server,
            tried.share() * 100.0,
            span.cpu_each(),
            span.dropped
        );
        first_behind = first_behind.or(tried.behind());
        search.tried(rate, tried);
    }
    text.push_str(&search.verdict());
    if let Some(who) = first_behind {
        let _ = writeln!(text, "  what fell behind first: {who}");
    }
    stage.store.close().await;
    let mut server = stage.server;
    server.stop().await.map_err(|e| e.to_string())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that carries `broker` a second to each and a server that takes `server`.
    fn searched(from: u64, broker: f64, server: f64) -> (Vec<u64>, Search) {
        let (mut search, mut rates) = (Search::from(from), Vec::new());
        while let Some(rate) = search.next {
            rates.push(rate);
            let asked = f64::from(u32::try_from(rate).unwrap());
            let bare = asked.min(broker);
            search.tried(rate, Tried { asked, sent: asked, bare, server: bare.min(server) });
        }
        (rates, search)
    }

    #[test]
    fn the_share_is_told_of_the_highest_rate_that_the_bare_subscriber_holds() {
        let (rates, search) = searched(5_000, 30_000.0, 20_000.0);
        assert_eq!(rates, [5_000, 10_000, 20_000, 40_000, 30_000, 35_000]);
        let told = search.verdict();
        assert!(told.contains("at 30000 /s") && told.contains("66.7 %"), "{told}");
        assert!(told.ends_with("(goal at least 90: NOT REACHED)\n"), "{told}");
    }

    #[test]
    fn a_server_that_falls_behind_early_does_not_end_the_search() {
        let (rates, search) = searched(5_000, 30_000.0, 1_000.0);
        assert_eq!(rates.last(), Some(&35_000));
        assert!(search.verdict().contains("NOT REACHED"));
    }

    #[test]
    fn no_share_is_told_where_the_broker_holds_nothing() {
        let (rates, search) = searched(500_000, 30_000.0, 30_000.0);
        assert_eq!(rates, [500_000]);
        assert!(!search.verdict().contains("goal"), "{}", search.verdict());
    }
}
