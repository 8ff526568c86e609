//! What the bookkeeper brings.
use kioskwatch_proto::Timestamp;

use crate::{
    change::{Change, MonthRow},
    fleet::Request,
    interval::Interval,
    testing::World,
    uptime::seal::{SIGNED, Seals},
};

#[test]
fn whatever_is_signed_leaves_its_sum_in_the_audit_in_the_same_commit_and_nothing_else_does() {
    let mut world = World::new();
    let row = |version: u32| {
        let month = "2026-10".parse().unwrap();
        let nothing = MonthRow::nothing("K-1".parse().unwrap(), month, Interval::new(0, 60), Timestamp(0));
        MonthRow { version, ..nothing }
    };
    let book = |world: &mut World, rows: &[MonthRow]| {
        let before = world.store.audit.len();
        let changes = rows.iter().cloned().map(|row| Change::Month(Box::new(row))).collect();
        world.ask("boss", Request::Book { changes, also: None }).unwrap();
        let new = world.store.audit.iter().skip(before).filter(|row| row.action == SIGNED);
        new.map(|row| (row.actor.clone(), row.detail.clone())).collect::<Vec<_>>()
    };
    assert_eq!(book(&mut world, &[row(0)]), []);
    let sum = |rows: &[MonthRow]| ("boss".to_owned(), Seals::of(rows).to_json().to_string());
    assert_eq!(book(&mut world, &[row(0), row(1)]), [sum(&[row(1)])]);
    assert_eq!(book(&mut world, &[row(2)]), [sum(&[row(2)])]);
}
