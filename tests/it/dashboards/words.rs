//! What dashboards and rules name is what the product does.
use std::collections::BTreeSet;

use kioskwatch_domain::{
    change::{ClockState, TicketState, Zone},
    policy::Policy,
    ticket::{self, Terms},
};
use kioskwatch_proto::{Timestamp, faults::FaultClass, words::Severity};

use super::{boards, deploy};

/// Every question of the dashboards and the rules.
fn questions() -> Vec<String> {
    let mut texts = Vec::new();
    for board in boards() {
        for panel in board.json()["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let text = target["expr"].as_str().or(target["rawSql"].as_str());
                texts.push(text.unwrap().to_owned());
            }
        }
    }
    for file in ["recording.yml", "alerts.yml"] {
        texts.push(std::fs::read_to_string(deploy().join("prometheus/rules").join(file)).unwrap());
    }
    texts
}

/// What stands in braces behind each use of a metric; nothing where there are none.
fn filters<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = &'a str> {
    let uses = text.split(metric).skip(1).filter(|rest| !rest.starts_with('_'));
    uses.map(|rest| {
        rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside)
    })
}

/// The words that a filter lets through.
fn words(filter: &str, label: &str) -> Option<Vec<String>> {
    let at = filter.split(',').map(str::trim).find_map(|part| part.strip_prefix(label))?;
    let wanted = at.strip_prefix("=~").or_else(|| at.strip_prefix('='))?;
    Some(wanted.trim_matches('"').split('|').map(str::to_owned).collect())
}

/// The states that the code gives to a ticket.
fn states_that_are_set() -> BTreeSet<&'static str> {
    let fleet = deploy().join("../server/domain/src/fleet");
    let code: String = ["work.rs", "outage.rs", "operate.rs", "../change/ticket.rs"]
        .map(|file| std::fs::read_to_string(fleet.join(file)).unwrap())
        .concat();
    let set = |state: &TicketState| {
        ["to = Some(TicketState::", "state: TicketState::"].iter().any(|before| {
            code.contains(&format!("{before}{state:?})")) || code.contains(&format!("{before}{state:?},"))
        })
    };
    TicketState::ALL.iter().filter(|state| set(state)).map(|state| state.as_str()).collect()
}

/// The clocks of a new ticket that are met when service is restored at once and then signed off.
fn clocks_that_can_be_met() -> BTreeSet<String> {
    let now = Timestamp::from_ms(1_000_000);
    let terms = Terms { zone: Zone::Urban, class: FaultClass::Operator, severity: Severity::Major };
    let mut clocks = ticket::opening_clocks(uuid::Uuid::nil(), now, terms, &Policy::default().clocks);
    for clock in &mut clocks {
        ticket::on_recovery(clock, now, now);
        ticket::on_sign_off(clock, now);
    }
    let met = clocks.into_iter().filter(|clock| clock.state == ClockState::Met);
    met.map(|clock| clock.name).collect()
}

#[test]
fn states_of_tickets_that_are_asked_for_are_states_a_ticket_can_be_in() {
    let set = states_that_are_set();
    assert!(set.contains("triaged") && set.contains("pending_batch") && set.contains("resolved"), "{set:?}");
    let mut named = 0;
    for text in questions() {
        for filter in filters(&text, "kioskwatch_tickets_open") {
            for state in words(filter, "state").into_iter().flatten() {
                named += 1;
                assert!(set.contains(state.as_str()), "no ticket is ever {state}: {text}");
            }
        }
    }
    assert!(named > 0, "nothing names a state: this test looks in the wrong place");
}

#[test]
fn service_clocks_that_are_judged_are_clocks_the_product_can_stop() {
    let can = clocks_that_can_be_met();
    let mut named = 0;
    for text in questions() {
        for filter in filters(&text, "kioskwatch_sla_breaches_total") {
            let clocks = words(filter, "clock");
            let clocks =
                clocks.unwrap_or_else(|| panic!("judges every clock, also {can:?} and more: {text}"));
            named += 1;
            assert_eq!(clocks.into_iter().collect::<BTreeSet<_>>(), can, "{text}");
        }
        if text.contains("FROM v_ticket_clocks") {
            let listed = text.split_once("clock IN (").and_then(|(_, rest)| rest.split_once(')'));
            let (listed, _) = listed.unwrap_or_else(|| panic!("judges every clock: {text}"));
            named += 1;
            let listed: BTreeSet<_> = listed.split(", ").map(|c| c.trim_matches('\'').to_owned()).collect();
            assert_eq!(listed, can, "{text}");
        }
    }
    assert!(named >= 4, "{named} questions about clocks: this test looks in the wrong place");
}
