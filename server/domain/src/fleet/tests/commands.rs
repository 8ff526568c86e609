use kioskwatch_proto::{
    CommandId,
    artifact::Progress,
    command::{Action, Command},
    inventory::{Inventory, InventoryItem},
    journal::{Body, CommandOutcome, CommandResult},
    words::PortMode,
};

use crate::{
    change::CommandState,
    fleet::{Answer, CommandRequest, Committed, Count, Effect, Input, MessageOutcome, Request},
    policy::{CommandPolicy, Policy},
    testing::{ScriptedAgent, World},
};

fn started() -> (World, ScriptedAgent) {
    let mut world = World::new();
    let mut agent = world.kiosk("K-1", None);
    world.beat(&mut agent);
    (world, agent)
}

fn ask(
    world: &mut World,
    agent: &ScriptedAgent,
    action: Action,
) -> (Result<CommandId, &'static str>, Committed) {
    let request = CommandRequest {
        kiosk: agent.id.clone(),
        action,
        args: serde_json::from_str(r#"{"peripheral":"acceptor"}"#).unwrap(),
        ticket: None,
        valid_for_ms: None,
    };
    let (reply, done) = world.ask_all("li", Request::Command(request));
    let id = reply.map_err(|refusal| refusal.rule).map(|answer| match answer {
        Answer::Command(id) => id,
        other => panic!("{other:?}"),
    });
    (id, done)
}

fn published(done: &Committed) -> Vec<&Command> {
    done.effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Publish(command) => Some(&**command),
            Effect::Notify(_) => None,
        })
        .collect()
}

fn state(world: &World, id: CommandId) -> &'static str {
    world.store.commands[&id].state.as_str()
}

fn told(world: &mut World, agent: &mut ScriptedAgent, id: CommandId, state: CommandOutcome) {
    let result = CommandResult { command: id, state, reason: None, result: None };
    agent.record(world.now, Body::Command(result));
    world.send(agent);
}

#[test]
fn a_safe_command_is_sent_at_once_and_follows_the_agents_words() {
    let (mut world, mut agent) = started();
    let (id, done) = ask(&mut world, &agent, Action::SelfTest);
    let (id, command) = (id.unwrap(), published(&done)[0].clone());
    assert_eq!((command.id, command.counter), (id, u64::try_from(world.now.ms()).unwrap()));
    assert_eq!(command.not_after.since(command.issued_at), 300_000);
    assert_eq!(state(&world, id), "sent");
    for outcome in [CommandOutcome::Accepted, CommandOutcome::Started, CommandOutcome::Succeeded] {
        told(&mut world, &mut agent, id, outcome);
        assert_eq!(state(&world, id), outcome.as_str());
    }
    told(&mut world, &mut agent, id, CommandOutcome::Failed);
    assert_eq!(state(&world, id), "succeeded", "an end is an end");
    assert!(world.store.command_events.len() >= 5);
}

#[test]
fn an_unanswered_command_is_signed_again_with_a_new_counter_and_the_same_id() {
    let (mut world, mut agent) = started();
    let (id, first) = ask(&mut world, &agent, Action::Probe);
    let id = id.unwrap();
    let done = world.pass(60_000, &mut [&mut agent]);
    let (first, again) = (published(&first)[0].clone(), published(&done));
    assert!(again.len() >= 3, "{}", again.len());
    let mut last = first.counter;
    for command in again {
        assert_eq!((command.id, command.not_after), (id, first.not_after));
        assert!(command.counter > last);
        last = command.counter;
    }
    assert_eq!(world.store.states[&agent.id].command_counter, last);
}

#[test]
fn nobody_answers_and_the_command_expires_and_a_late_word_is_believed() {
    let (mut world, mut agent) = started();
    let id = ask(&mut world, &agent, Action::Probe).0.unwrap();
    world.pass(400_000, &mut [&mut agent]);
    assert_eq!(state(&world, id), "expired");
    world.restart();
    told(&mut world, &mut agent, id, CommandOutcome::Succeeded);
    assert_eq!(state(&world, id), "succeeded");
}

#[test]
fn a_refusal_is_corrected_by_what_the_true_envelope_led_to() {
    let (mut world, mut agent) = started();
    let id = ask(&mut world, &agent, Action::Probe).0.unwrap();
    told(&mut world, &mut agent, id, CommandOutcome::Refused);
    assert_eq!(state(&world, id), "refused");
    assert!(world.store.commands[&id].finished_at.is_some());
    told(&mut world, &mut agent, id, CommandOutcome::Started);
    assert_eq!(state(&world, id), "started");
    assert!(world.store.commands[&id].finished_at.is_none());
    told(&mut world, &mut agent, id, CommandOutcome::Succeeded);
    assert_eq!(state(&world, id), "succeeded");
    let refused = ask(&mut world, &agent, Action::Probe).0.unwrap();
    told(&mut world, &mut agent, refused, CommandOutcome::Refused);
    world.pass(3 * 3_600_000, &mut [&mut agent]);
    told(&mut world, &mut agent, refused, CommandOutcome::Succeeded);
    assert_eq!(state(&world, refused), "refused", "after its time nothing more is expected");
}

#[test]
fn a_command_that_is_put_off_or_refused_says_why_in_its_steps_at_once() {
    let (mut world, mut agent) = started();
    let id = ask(&mut world, &agent, Action::SelfTest).0.unwrap();
    for (outcome, reason) in [
        (CommandOutcome::Deferred, Some("no_busy_facts")),
        (CommandOutcome::Started, None),
        (CommandOutcome::Refused, Some("bad_signature")),
    ] {
        let reason = reason.map(str::to_owned);
        let result = CommandResult { command: id, state: outcome, reason: reason.clone(), result: None };
        agent.record(world.now, Body::Command(result));
        world.send(&mut agent);
        let last = world.store.command_events.last().unwrap();
        assert_eq!((last.step.as_str(), &last.line), (outcome.as_str(), &reason));
        assert_eq!(world.store.commands[&id].reason, reason);
    }
}

#[test]
fn the_next_counter_is_above_the_one_a_refusal_returned() {
    let (mut world, mut agent) = started();
    let ahead = u64::try_from(world.now.ms()).unwrap() + 86_400_000;
    for (counter, next) in [(ahead, ahead + 1), (3, ahead + 2), (u64::MAX, ahead + 3)] {
        let result = CommandResult {
            command: CommandId(uuid::Uuid::from_u128(9)),
            state: CommandOutcome::Refused,
            reason: Some("counter_not_above".into()),
            result: Some(serde_json::json!({ "counter": counter })),
        };
        agent.record(world.now, Body::Command(result));
        world.send(&mut agent);
        let (_, done) = ask(&mut world, &agent, Action::Probe);
        assert_eq!(published(&done)[0].counter, next);
    }
}

#[test]
fn progress_of_one_command_is_kept_up_to_a_limit() {
    let (mut world, agent) = started();
    let id = ask(&mut world, &agent, Action::Probe).0.unwrap();
    let before = world.store.command_events.len();
    let message = Progress { command: id, at: world.now, step: "x".into(), percent: None, line: None };
    let one = Input::Progress { kiosk: agent.id.clone(), received_at: world.now, message };
    world.tell(&vec![one.clone(); 150]);
    let done = world.tell(&vec![one; 150]);
    assert_eq!(world.store.command_events.len() - before, 200);
    assert_eq!(done.counts[&Count::Message(MessageOutcome::TooMuchProgress)], 100);
}

#[test]
fn a_command_that_began_and_never_ended_is_unknown() {
    let (mut world, mut agent) = started();
    let id = ask(&mut world, &agent, Action::SelfTest).0.unwrap();
    told(&mut world, &mut agent, id, CommandOutcome::Started);
    world.pass(300_000, &mut [&mut agent]);
    assert_eq!(state(&world, id), "started");
    world.pass(3_700_000, &mut [&mut agent]);
    assert_eq!(state(&world, id), "unknown");
}

#[test]
fn a_command_for_a_silent_kiosk_waits_until_it_is_heard() {
    let (mut world, mut agent) = started();
    world.pass(100_000, &mut []);
    let (id, done) = ask(&mut world, &agent, Action::Probe);
    assert!(published(&done).is_empty());
    assert_eq!(state(&world, id.unwrap()), "queued");
    let done = world.beat(&mut agent);
    assert_eq!(published(&done).len(), 1);
    let id = id.unwrap();
    let cancel = Request::CancelCommand { command: id, reason: "x".into() };
    assert_eq!(world.ask("li", cancel).unwrap_err().rule, "D6");
    assert_eq!(state(&world, id), "sent");
}

#[test]
fn what_interrupts_the_service_needs_a_second_person() {
    let (mut world, mut agent) = started();
    let (id, done) = ask(&mut world, &agent, Action::Reboot);
    let id = id.unwrap();
    assert!(published(&done).is_empty());
    let approve = Request::ApproveCommand { command: id };
    assert_eq!(world.ask("li", approve.clone()).unwrap_err().rule, "D6");
    let (reply, done) = world.ask_all("wang", approve.clone());
    assert_eq!(reply, Ok(Answer::Done));
    assert_eq!(published(&done)[0].approver.as_deref(), Some("wang"));
    assert!(world.ask("wang", approve).is_err(), "once");
    let second = ask(&mut world, &agent, Action::Reboot).0.unwrap();
    let reject = Request::RejectCommand { command: second, reason: "not now".into() };
    assert_eq!(world.ask("wang", reject), Ok(Answer::Done));
    assert_eq!(state(&world, second), "cancelled");
    let third = ask(&mut world, &agent, Action::Reboot).0.unwrap();
    world.pass(301_000, &mut [&mut agent]);
    assert_eq!(state(&world, third), "expired");
}

#[test]
fn money_and_card_units_need_a_second_person_whatever_the_configuration_says() {
    for (kind, waits) in [("bill_acceptor", true), ("printer", false)] {
        let commands = CommandPolicy { approve_disruptive: false, ..Policy::default().commands };
        let mut world = World::with(Policy { commands, ..Policy::default() });
        let mut agent = world.kiosk("K-1", None);
        world.beat(&mut agent);
        let inventory = Inventory {
            agent_version: "1".into(),
            os: "linux".into(),
            boot: agent.boot,
            epoch: agent.epoch,
            timezone: None,
            config_hash: "x".into(),
            peripherals: vec![InventoryItem {
                name: kioskwatch_proto::PeripheralName::new("acceptor").unwrap(),
                kind: kind.into(),
                driver: "ccnet".into(),
                mode: PortMode::Owned,
                required: true,
                model: None,
                firmware: None,
                serial: None,
            }],
            actions: vec!["reset_peripheral".into()],
        };
        let raw: std::sync::Arc<str> = serde_json::to_string(&inventory).unwrap().into();
        let message = Box::new(inventory);
        let told = Input::Inventory { kiosk: agent.id.clone(), received_at: world.now, message, raw };
        world.tell(std::slice::from_ref(&told));
        let plan = world.fleet.plan(world.now, &[told], &mut world.ids);
        assert!(plan.changes.is_empty(), "a retained message that comes again is no news");
        let id = ask(&mut world, &agent, Action::ResetPeripheral).0.unwrap();
        assert_eq!(world.store.commands[&id].state == CommandState::AwaitingApproval, waits, "{kind}");
        let other = ask(&mut world, &agent, Action::Probe).0;
        assert_eq!(other, Err("D6"), "the agent does not offer it");
        let request = CommandRequest {
            kiosk: agent.id.clone(),
            action: Action::ResetPeripheral,
            args: serde_json::from_str(r#"{"peripheral":"ups"}"#).unwrap(),
            ticket: None,
            valid_for_ms: None,
        };
        let refusal = world.ask_all("li", Request::Command(request)).0.unwrap_err();
        assert_eq!(refusal.reason, "the kiosk has no peripheral \"ups\": it has acceptor");
    }
}

#[test]
fn open_commands_of_a_kiosk_are_limited() {
    let (mut world, agent) = started();
    for _ in 0..8 {
        ask(&mut world, &agent, Action::Reboot).0.unwrap();
    }
    assert_eq!(ask(&mut world, &agent, Action::Reboot).0, Err("D10"));
}

#[test]
fn a_command_that_waits_for_its_kiosk_is_not_sent_after_its_time_when_our_clock_was_set_back() {
    let cases = [(4, "sent", true), (6, "expired", true), (6, "expired", false)];
    for (minutes_after, expected, running) in cases {
        let (mut world, mut agent) = started();
        world.pass(600_000, &mut []);
        let (id, done) = ask(&mut world, &agent, Action::SelfTest);
        let id = id.unwrap();
        assert!(published(&done).is_empty(), "nobody is there");
        world.tell(&[Input::FLUSH_ALL]);
        let before = world.now;
        world.now = before.plus_ms(-3_600_000);
        if running {
            world.tell(&[Input::ClockJumped { before }]);
        } else {
            world.restart();
        }
        world.pass(minutes_after * 60_000, &mut []);
        let online = agent.connect(world.now);
        let done = world.tell(&[online]);
        assert_eq!(published(&done).len(), usize::from(expected == "sent"), "{minutes_after} min");
        world.pass(60_000, &mut []);
        assert_eq!(state(&world, id), expected, "{minutes_after} min of five");
    }
}
