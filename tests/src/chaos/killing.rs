//! One cycle: who dies, when, for how long, and in which order they come back.
use std::time::Duration;

use tokio::time::sleep;

use super::{Options, Victim, field::Field};
use crate::sim::rng::Rng;

/// Every so many cycles somebody stays dead for longer than the server's patience with a kiosk.
const LONG_EVERY: u32 = 33;
const LONG: Duration = Duration::from_secs(12);

#[derive(Debug)]
pub(super) struct Killing {
    /// Into the cycle.
    pub(super) after: Duration,
    /// In the order in which they die.
    pub(super) victims: Vec<Victim>,
    pub(super) agents: Vec<usize>,
    pub(super) dead_for: Duration,
}

impl Killing {
    pub(super) fn plan(dice: &mut Rng, cycle: u32, options: &Options) -> Self {
        let mut victims = options.victims();
        let is_long = cycle.is_multiple_of(LONG_EVERY);
        if is_long && victims.len() > 1 {
            // A kiosk that is away for so long is rightly called offline.
            victims.retain(|&victim| victim != Victim::Agent);
        }
        // Mostly one; sometimes all of them at once.
        let count = if dice.per_mille(700) { 1 } else { 1 + dice.index(victims.len()) };
        shuffle(&mut victims, dice);
        victims.truncate(count);
        let mut agents: Vec<usize> = (0..options.kiosks).collect();
        shuffle(&mut agents, dice);
        agents.truncate(1 + dice.index(agents.len()));
        let ms = |dice: &mut Rng, most| Duration::from_millis(dice.between(0, most).unsigned_abs());
        let dead_for = if is_long && !victims.contains(&Victim::Agent) { LONG } else { ms(dice, 200) };
        Self { after: ms(dice, 400), victims, agents, dead_for }
    }

    /// Kills, waits, and starts everybody again.
    pub(super) async fn carry_out(&self, field: &mut Field) -> Result<(), String> {
        sleep(self.after).await;
        for &victim in &self.victims {
            field.kill(victim, &self.agents).await?;
        }
        sleep(self.dead_for).await;
        // A server without its database does not start, and nobody waits for an agent.
        for victim in [Victim::Agent, Victim::Database, Victim::Broker, Victim::Server] {
            if self.victims.contains(&victim) {
                field.start_again(victim, &self.agents).await?;
            }
        }
        Ok(())
    }
}

fn shuffle<T>(list: &mut [T], dice: &mut Rng) {
    for at in 0..list.len() {
        let with = at + dice.index(list.len() - at);
        list.swap(at, with);
    }
}
