use kioskwatch_proto::{
    PeripheralName,
    inventory::{Inventory, InventoryItem},
    journal::{Alive, Body, FaultState::Raised, Peripheral, Service},
    words::{PeripheralStatus, PortMode, ServiceState},
};

use crate::{
    change::EvidenceState,
    fleet::Input,
    interval::{Interval, IntervalSet},
    testing::{ScriptedAgent, World},
    uptime::{
        Figures,
        evidence::Evidence,
        sweep::{Inputs, Timeline},
    },
};

const HOUR_MS: i64 = 3_600_000;

fn name(text: &str) -> PeripheralName {
    PeripheralName::new(text).unwrap()
}

/// A kiosk that works, of which the acceptor is required and printer and UPS are not.
fn started() -> (World, ScriptedAgent) {
    let mut world = World::new();
    let mut agent = world.kiosk("K-1", None);
    world.beat(&mut agent);
    let item = |of: &str| InventoryItem {
        name: name(of),
        kind: of.into(),
        driver: "any".into(),
        mode: PortMode::Owned,
        required: of == "acceptor",
        model: None,
        firmware: None,
        serial: None,
    };
    let inventory = Inventory {
        agent_version: "1".into(),
        os: "linux".into(),
        boot: agent.boot,
        epoch: agent.epoch,
        timezone: None,
        config_hash: "x".into(),
        peripherals: ["acceptor", "printer", "ups"].map(item).into(),
        actions: Vec::new(),
    };
    let raw: std::sync::Arc<str> = serde_json::to_string(&inventory).unwrap().into();
    let (kiosk, message) = (agent.id.clone(), Box::new(inventory));
    world.tell(&[Input::Inventory { kiosk, received_at: world.now, message, raw }]);
    agent.snapshot(world.now, &[]);
    world.send(&mut agent);
    (world, agent)
}

/// What is told at once: faults, the status of the acceptor, and what the agent makes of it.
struct Told<'a> {
    faults: &'a [(&'a str, &'a str)],
    acceptor: PeripheralStatus,
    service: ServiceState,
    cause: Option<&'a str>,
}

impl Told<'_> {
    fn tell(&self, world: &mut World, agent: &mut ScriptedAgent) {
        for (peripheral, fault) in self.faults {
            agent.fault(world.now, peripheral, fault, Raised);
        }
        let status = self.acceptor.clone();
        agent.record(world.now, Body::Peripheral(Peripheral { peripheral: name("acceptor"), status }));
        agent.service = self.service;
        let cause = self.cause.map(str::to_owned);
        agent.record(world.now, Body::Service(Service { state: self.service, cause }));
        world.send(agent);
    }
}

/// What is proved of the hour after it was told.
fn proved(told: &Told<'_>) -> (EvidenceState, String) {
    let (mut world, mut agent) = started();
    world.now = world.now.plus_ms(1_000);
    told.tell(&mut world, &mut agent);
    let from = world.now;
    world.now = from.plus_ms(HOUR_MS);
    agent.record(world.now, Body::Alive(Alive { until: world.now }));
    world.send(&mut agent);
    let row = world.store.evidence().into_iter().find(|row| row.from >= from && row.to == world.now);
    let row = row.expect("the hour is proved");
    (row.state, row.cause.unwrap_or_default())
}

#[test]
fn a_state_is_explained_by_what_makes_it_bad_and_by_nothing_beside_it() {
    use PeripheralStatus::{HardwareError, Offline, Online, UserError};
    use ServiceState::{Degraded, InService, OutOfService};
    let jam = ("acceptor", "note_jam");
    let battery = ("ups", "on_battery");
    type Case<'a> = (&'a [(&'a str, &'a str)], PeripheralStatus, ServiceState, Option<&'a str>, &'a str);
    #[rustfmt::skip]
    let table: &[Case<'_>] = &[
        // A fault that stops nothing explains nothing.
        (&[jam, ("host", "clock_wrong"), ("host", "disk_full")], HardwareError, OutOfService, Some("acceptor: note_jam"), "hardware"),
        (&[jam, ("ups", "battery_low")], HardwareError, OutOfService, None, "hardware"),
        (&[jam, battery], HardwareError, OutOfService, None, "hardware"),
        (&[jam, ("printer", "paper_out")], HardwareError, OutOfService, None, "hardware"),
        (&[("acceptor", "stacker_full"), ("printer", "paper_jam")], UserError, OutOfService, None, "supplies"),
        (&[("printer", "paper_out")], Online, OutOfService, Some("printer: paper_out"), "supplies"),
        (&[("host", "clock_wrong")], Online, OutOfService, None, ""),
        // What is silent while the mains are away has no power.
        (&[("acceptor", "comm_timeout"), battery], Offline, InService, None, "power"),
        (&[("acceptor", "comm_timeout")], Offline, InService, None, "hardware"),
        (&[battery], Online, OutOfService, None, "power"),
        // What answers has power, also where its answer names no fault that we know.
        (&[("acceptor", "unknown_code"), battery], HardwareError, OutOfService, None, "hardware"),
        // The application knows its own reason, and it alone knows the institution's host.
        (&[], Online, OutOfService, Some("host"), "host"),
        (&[], Online, OutOfService, Some("no idea"), ""),
        // And what is empty, of a module that does not say so itself, or that the agent does not know.
        (&[], Online, OutOfService, Some("acceptor: stacker_full"), "supplies"),
        (&[], Online, OutOfService, Some("receipts: paper_out"), "supplies"),
        (&[jam], HardwareError, OutOfService, Some("acceptor: stacker_full"), "hardware"),
        (&[], Online, OutOfService, Some("acceptor: on_battery"), "hardware"),
        (&[], Online, OutOfService, Some("receipts: on_battery"), ""),
        (&[("host", "application_down")], Online, OutOfService, Some("application_down"), "software"),
        (&[("host", "disk_full"), ("printer", "paper_low")], Online, Degraded, None, "supplies"),
        (&[], Online, Degraded, Some("receipts: paper_out"), "supplies"),
        (&[], Online, Degraded, Some("network"), "network"),
        // `host` before a detail is the terminal, and any name before one is a module.
        (&[], Online, Degraded, Some("host: disk_full"), ""),
        (&[], Online, Degraded, Some("network: line down"), ""),
    ];
    for (faults, acceptor, service, cause, expected) in table {
        let told = Told { faults, acceptor: acceptor.clone(), service: *service, cause: *cause };
        let state = if *service == Degraded { EvidenceState::Degraded } else { EvidenceState::Oos };
        assert_eq!(proved(&told), (state, (*expected).to_owned()), "{faults:?} {cause:?}");
    }
}

/// The figure that engineers are measured by leaves out what the customer's power, line and host caused.
#[test]
fn a_wrong_clock_beside_a_jam_takes_nothing_out_of_the_engineers_figure() {
    let (mut world, mut agent) = started();
    let from = world.now.secs();
    world.now = world.now.plus_ms(24 * HOUR_MS);
    Told {
        faults: &[("acceptor", "note_jam"), ("host", "clock_wrong")],
        acceptor: PeripheralStatus::HardwareError,
        service: ServiceState::OutOfService,
        cause: Some("acceptor: note_jam"),
    }
    .tell(&mut world, &mut agent);
    world.now = world.now.plus_ms(72 * HOUR_MS);
    agent.record(world.now, Body::Alive(Alive { until: world.now }));
    world.send(&mut agent);
    let figures = figures(&world, Interval::new(from, world.now.secs()));
    assert_eq!((figures.avail.num, figures.avail.den), (24 * 3_600, 96 * 3_600));
    assert_eq!(figures.engineer_kpi(), figures.avail, "{:?}", figures.causes);
}

fn figures(world: &World, period: Interval) -> Figures {
    let evidence: Vec<Evidence> = world.store.evidence().iter().map(Evidence::from).collect();
    let (always, never) = (IntervalSet::of(period), IntervalSet::default());
    Timeline::build(&Inputs {
        period,
        as_of: None,
        service: &always,
        commissioned: &always,
        exclusions: &never,
        server_down: &never,
        evidence: &evidence,
        received_before: None,
    })
    .figures()
}
