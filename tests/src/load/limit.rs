//! How many heartbeats a second this machine carries through a broker: rates that double until somebody falls behind.
use std::{fmt::Write as _, time::Duration};

use super::{
    fleet::{BareSubscriber, Fleet, Pace},
    live::{FloodLimit, Stage, measure},
    options::LimitOptions,
};

/// Of what it should have taken: whoever takes less has fallen behind.
const KEEPS_UP: f64 = 0.9;
/// No broker here carries as many.
const MOST: u64 = 1_000_000;

pub async fn run(options: &LimitOptions) -> Result<String, String> {
    let stage = &options.stage;
    let stage = Stage::set(stage, FloodLimit::Lifted).await?;
    let broker = stage.mosquitto.address();
    let bare = BareSubscriber::start(broker).await?;
    let mut fleet =
        Fleet::connect(options.crowd.kiosks, options.crowd.connections, options.crowd.interval, broker)
            .await?;
    fleet.introduce().await?;
    let length = Duration::from_secs(options.seconds);
    let mut text = format!(
        "{} kiosks on {} connections, Mosquitto, {} s at each rate\n{:>10} {:>10} {:>10} {:>10} {:>9} {:>16} {:>9}\n",
        options.crowd.kiosks,
        options.crowd.connections,
        options.seconds,
        "asked /s",
        "sent /s",
        "bare /s",
        "server /s",
        "share",
        "µs a heartbeat",
        "dropped"
    );
    let rates = std::iter::successors(Some(options.from.max(1)), |rate| rate.checked_mul(2));
    for rate in rates.take_while(|rate| *rate <= MOST) {
        let pace = Pace { heartbeats: rate, faults: 0, length };
        let span = measure(&stage, &bare, &mut fleet, pace).await?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (asked, taken, heard) = (rate as f64, span.taken as f64, span.bare.max(1) as f64);
        let a_second = |count: u64| span.rate(count);
        let (sent, bare_rate, share) = (a_second(span.sent.heartbeats), a_second(span.bare), taken / heard);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{asked:>10.0} {sent:>10.0} {bare_rate:>10.0} {:>10.0} {:>7.1} % {:>16.1} {:>9}",
            a_second(span.taken),
            share * 100.0,
            span.cpu.as_secs_f64() * 1e6 / taken.max(1.0),
            span.dropped
        );
        let fell_behind = [
            (share, "the server, behind the bare subscriber"),
            (bare_rate / sent, "the broker: its bare subscriber did not get what was sent"),
            (sent / asked, "the generator, or the broker that holds it back"),
        ]
        .into_iter()
        .find(|(part, _)| *part < KEEPS_UP);
        if let Some((_, who)) = fell_behind {
            let _ = writeln!(text, "  what fell behind first: {who}");
            break;
        }
    }
    stage.store.close().await;
    let mut server = stage.server;
    server.stop().await.map_err(|e| e.to_string())?;
    Ok(text)
}
