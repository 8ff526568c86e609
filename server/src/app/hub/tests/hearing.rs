//! What is taken from the queues, in which order, and when we were deaf.
use super::*;
use crate::app::floods::QUIET;

#[tokio::test]
async fn who_asks_again_and_again_keeps_no_deadline_from_being_looked_at() {
    let mut rig = Rig::start(|_| Vec::new()).await;
    let (app, actor) = (rig.app.clone(), Actor { name: "somebody".into() });
    let asking = tokio::spawn(async move {
        let request = Request::RejectCommand { command: command_id(1), reason: String::new() };
        app.request(actor, request).await
    });
    while rig.app.waiting_requests() == 0 {
        tokio::task::yield_now().await;
    }
    let (_stop, mut stop) = watch::channel(false);
    let (mut sweep, mut flush) = (interval(1), interval(3_600));
    flush.tick().await;
    assert!(matches!(rig.hub.next(&mut stop, &mut sweep, &mut flush).await, Wake::Sweep));
    let Wake::Request(asked) = rig.hub.next(&mut stop, &mut sweep, &mut flush).await else {
        panic!("the tick is over");
    };
    drop(asked);
    assert!(asking.await.unwrap().is_err());
}

fn interval(seconds: u64) -> Interval {
    tokio::time::interval(Duration::from_secs(seconds))
}

#[tokio::test]
async fn messages_read_in_a_turn_without_a_tick_were_read() {
    let mut rig = Rig::start(|_| Vec::new()).await;
    let before = rig.hub.beats_read;
    while before.elapsed() < Duration::from_millis(5) {
        tokio::task::yield_now().await;
    }
    let waited = before.elapsed();
    rig.hub.drain(&mut Turn::default());
    let read = rig.hub.beats_read.elapsed();
    assert!(read + waited <= before.elapsed(), "last read {read:?} ago, before that not for {waited:?}");
}

#[tokio::test]
async fn deafness_is_noticed_at_the_next_turn_however_seldom_the_server_sweeps() {
    let mut rig = Rig::start(|_| Vec::new()).await;
    rig.hub.lanes_up = [true; 2];
    rig.decide(Input::BrokerUp).await;
    rig.hub.deaf_after = Duration::from_millis(5);
    let mut turn = Turn::default();
    rig.hub.notice_deafness(&mut turn);
    let read = rig.hub.beats_read;
    while read.elapsed() <= rig.hub.deaf_after {
        tokio::task::yield_now().await;
    }
    let mut turn = Turn::default();
    rig.hub.notice_deafness(&mut turn);
    assert!(matches!(turn.inputs[..], [Input::BrokerDown { .. }, Input::ReadsAgain]), "{:?}", turn.inputs);
}

/// Beyond a kiosk's patience, and ours after a start.
const STALL_MS: i64 = 600_000;

/// A kiosk that was heard when nothing else waited.
async fn heard() -> (Rig, ScriptedAgent) {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    rig.app.clock().fall_behind(STALL_MS);
    rig.hub.lanes_up = [true; 2];
    rig.decide(Input::BrokerUp).await;
    let mut agent = ScriptedAgent::new("K-1", rig.app.clock().now());
    beat(&rig, &mut agent).await;
    let mut turn = Turn::default();
    rig.hub.drain(&mut turn);
    rig.hub.decide(turn).await.unwrap();
    assert_eq!(presence(&rig), PresenceVerdict::Online);
    (rig, agent)
}

async fn beat(rig: &Rig, agent: &mut ScriptedAgent) {
    let now = rig.app.clock().now();
    let payload = serde_json::to_vec(&agent.heartbeat(now)).unwrap();
    rig.beats.message(received(agent, Channel::Heartbeat, payload, now)).await.unwrap();
}

fn presence(rig: &Rig) -> PresenceVerdict {
    rig.app.fleet().kiosk(&KioskId::new("K-1").unwrap()).unwrap().presence
}

#[tokio::test]
async fn a_sweep_that_is_decided_after_a_stall_judges_by_what_was_read_before_it() {
    let (mut rig, mut agent) = heard().await;
    // A sweep in a batch that the database did not take for ten minutes, and that is then decided piece by piece.
    let to = rig.hub.read_to;
    rig.app.clock().follow_jump().unwrap();
    beat(&rig, &mut agent).await;
    for piece in [Input::Read { to }, Input::Sweep] {
        rig.decide(piece).await;
    }
    assert_eq!(presence(&rig), PresenceVerdict::Online, "its heartbeat waits in our queue");
    let incidents = rig.app.store().incidents(&Scope::All, &agent.id, &PageRequest::first()).await.unwrap();
    assert!(incidents.unwrap().items.is_empty());
}

#[tokio::test]
async fn heartbeats_that_wait_for_long_are_deafness_however_often_some_are_read() {
    let (mut rig, _) = heard().await;
    rig.app.clock().follow_jump().unwrap();
    rig.hub.drain(&mut Turn::default());
    let read_to = rig.hub.read_to;
    let strangers = async |rig: &Rig, many| {
        for n in 0..many {
            rig.beats.message(heartbeat_of_a_stranger(n, rig.app.clock().now())).await.unwrap();
        }
    };
    strangers(&rig, 3 * MAX_BATCH).await;
    // Turn by turn some are read, and as many come.
    let turn = async |rig: &mut Rig| {
        let mut turn = Turn::default();
        rig.hub.notice_deafness(&mut turn);
        let deaf = matches!(turn.inputs[..], [Input::BrokerDown { .. }, Input::ReadsAgain]);
        rig.hub.drain(&mut turn);
        strangers(rig, MAX_BATCH).await;
        deaf
    };
    let began = Stopwatch::start();
    turn(&mut rig).await;
    // No single turn is that long.
    rig.hub.deaf_after = began.elapsed() * 8;
    let mut deaf = false;
    while !deaf && began.elapsed() <= rig.hub.deaf_after * 3 {
        deaf = turn(&mut rig).await;
    }
    assert!(deaf);
    assert_eq!(rig.hub.read_to, read_to, "and nobody is judged by what came later");
    while !rig.hub.has_taken_all() {
        rig.hub.drain(&mut Turn::default());
    }
    assert!(rig.hub.read_to > read_to);
}

#[tokio::test]
async fn a_server_that_ends_claims_nothing_of_the_time_that_its_clock_skipped_just_before() {
    const HOUR: i64 = 3_600_000;
    let mut rig = Rig::start(|_| Vec::new()).await;
    rig.app.clock().fall_behind(HOUR);
    rig.hub.lanes_up = [true; 2];
    rig.decide(Input::BrokerUp).await;
    let begun = rig.app.clock().now();
    rig.stop.send(true).unwrap();
    rig.hub.run().await.unwrap();
    let ended = rig.app.clock().now();
    assert!(ended.since(begun) >= HOUR, "the clock jumped when it was looked at");
    let claims = rig.app.store().server_liveness(begun, ended).await.unwrap();
    assert!(claims.iter().all(|row| row.to.since(row.from) < HOUR / 2), "{claims:?}");
}

/// From kiosks that nobody knows: each heartbeat is an input of the plan.
fn heartbeat_of_a_stranger(n: usize, now: Timestamp) -> Received {
    let mut agent = ScriptedAgent::new(&format!("X-{n}"), now);
    let payload = serde_json::to_vec(&agent.heartbeat(now)).unwrap();
    received(&agent, Channel::Heartbeat, payload, now)
}

#[tokio::test]
async fn a_storm_of_heartbeats_delays_no_fault_and_a_storm_of_journals_no_heartbeat() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let now = rig.app.clock().now();
    for n in 0..MAX_BATCH * 2 {
        rig.beats.message(heartbeat_of_a_stranger(n, now)).await.unwrap();
    }
    let mut agent = ScriptedAgent::new("K-1", now);
    let birth = |agent: &ScriptedAgent| {
        let Input::Presence { message, .. } = agent.presence(now, PresenceState::Online) else {
            panic!("a birth")
        };
        received(agent, Channel::Presence, serde_json::to_vec(&message).unwrap(), now)
    };
    rig.journal.message(birth(&agent)).await.unwrap();
    let mut turn = Turn::default();
    rig.hub.drain(&mut turn);
    assert!(matches!(turn.inputs[0], Input::Presence { .. }), "{:?}", turn.inputs[0]);
    assert_eq!(rig.beats.waiting(), MAX_BATCH, "the storm goes on");
    assert_eq!(rig.hub.heard_to(), None, "and nobody claims to have heard what waits");
    rig.hub.decide(turn).await.unwrap();
    while !rig.hub.has_taken_all() {
        let mut turn = Turn::default();
        rig.hub.drain(&mut turn);
        rig.hub.decide(turn).await.unwrap();
    }

    for _ in 0..MAX_BATCH * 2 {
        rig.journal.message(birth(&agent)).await.unwrap();
    }
    let payload = serde_json::to_vec(&agent.heartbeat(now)).unwrap();
    rig.beats.message(received(&agent, Channel::Heartbeat, payload, now)).await.unwrap();
    let mut turn = Turn::default();
    rig.hub.drain(&mut turn);
    assert_eq!((rig.journal.waiting(), rig.beats.waiting()), (MAX_BATCH, 0));
    drop(turn);
    assert!(rig.hub.heard_to().is_none());
}

#[tokio::test]
async fn heartbeats_wait_for_company_unless_there_is_enough_of_it() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let now = rig.app.clock().now();
    let mut next = async |waiting: usize| {
        for n in 0..waiting {
            rig.beats.message(heartbeat_of_a_stranger(n, now)).await.unwrap();
        }
        let mut turn = Turn::default();
        rig.hub.drain(&mut turn);
        let at_once = rig.hub.beats_again.is_none();
        rig.beats.message(heartbeat_of_a_stranger(waiting, now)).await.unwrap();
        let rest = std::iter::from_fn(|| rig.hub.from_beats.try_recv()).count();
        (at_once, rest)
    };
    assert_eq!(next(3).await, (false, 1));
    assert_eq!(next(MAX_BATCH + BEATS_TOGETHER).await, (true, BEATS_TOGETHER + 1));
    rig.hub.drain(&mut Turn::default());
    rig.beats.message(heartbeat_of_a_stranger(0, now)).await.unwrap();
    let again = rig.hub.beats_again;
    assert!(next_beat(&mut rig.hub.from_beats, again).await.is_some());
    assert!(again.is_none_or(|at| Instant::now() >= at));
}

#[tokio::test]
async fn a_flood_is_shown_while_it_lasts_and_its_end_is_told_with_what_it_cost() {
    const HOUR: i64 = 3_600_000;
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    rig.app.clock().fall_behind(HOUR);
    let flooder = KioskId::new("K-1").unwrap();
    let start = Instant::now();
    let looks = async |rig: &mut Rig, now: Instant| {
        let mut turn = Turn::default();
        rig.hub.look_at_floods(&mut turn, now);
        rig.hub.decide(turn).await.unwrap();
        rig.app.floods().of(&flooder).map(|flood| flood.dropped)
    };
    for (messages, shown) in [(3, 6), (0, 6), (1, 8)] {
        for _ in 0..messages {
            for link in [&rig.hub.journal_link, &rig.hub.beats_link] {
                link.counters().dropped_of("K-1");
                link.counters().dropped_of("no kiosk's name");
            }
        }
        assert_eq!(looks(&mut rig, start).await, Some(shown));
        assert_eq!(rig.audit("flood").await, ["kiosk/K-1"], "once for both connections");
    }
    assert_eq!(rig.counted("security_events_total{event=\"flood\"}"), 1);
    assert!(rig.audit("flood_ended").await.is_empty());
    rig.app.clock().follow_jump().unwrap();
    assert_eq!(looks(&mut rig, start).await, Some(8), "a clock that is set ends none");
    assert!(rig.audit("flood_ended").await.is_empty());
    assert_eq!(looks(&mut rig, start + QUIET).await, None);
    assert_eq!(rig.audit("flood_ended").await, ["kiosk/K-1"]);
}
