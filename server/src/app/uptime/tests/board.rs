//! What a scrape shows adds up, whoever it is shown by.
use super::*;
use crate::app::uptime::{
    board::{Parts, Place},
    seconds::Seconds,
};

/// Up for some seconds of a day, the rest down for one cause, and an hour of which nothing is known.
fn figures(up_s: i64, cause: Cause) -> Figures {
    let ratio = Ratio::new(up_s, DAY / 1_000);
    let causes = BTreeMap::from([(cause, ratio.den - ratio.num)]);
    let accountable_s = ratio.den + 3_600;
    Figures {
        accountable_s,
        known_s: ratio.den,
        on: ratio,
        avail: ratio,
        full: ratio,
        causes,
        ..Figures::default()
    }
}

fn place(site: Option<&str>, region: &str, customer: &str) -> Place {
    Place {
        site: site.map(|id| id.parse().unwrap()),
        region: region.to_owned(),
        customer: customer.to_owned(),
    }
}

fn shown(parts: &[(Place, Figures)]) -> Shown {
    let parts = Parts::of(parts.iter().map(|(place, figures)| (place.clone(), figures)));
    Shown { month: Some((october(), parts)), ..Shown::default() }
}

fn sum<'a>(all: impl Iterator<Item = &'a Seconds>) -> Seconds {
    all.fold(Seconds::default(), |mut sum, one| {
        sum += one;
        sum
    })
}

#[test]
fn sites_regions_customers_and_kiosks_add_up_to_the_fleet_and_causes_to_what_avail_lacks() {
    let (moved, lost): (KioskId, KioskId) = ("moved".parse().unwrap(), "lost".parse().unwrap());
    let mut board = Board::default();
    let stood = [
        (place(Some("S-1"), "north", "Bank"), figures(80_000, Cause::Power)),
        (place(Some("S-2"), "north", ""), figures(70_000, Cause::Hardware)),
    ];
    board.show(moved.clone(), shown(&stood));
    board.show(lost.clone(), shown(&[(place(None, "", ""), figures(60_000, Cause::Network))]));
    let now = Timestamp(october().from * 1_000 + DAY);
    let [today, month, last_month] = board.totals(now);
    assert_eq!((today, last_month), (Default::default(), Default::default()), "nobody looked at them");
    assert_eq!(month.fleet.ratios[1], Ratio::new(210_000, 3 * 86_400));
    for (groups, names) in [
        (&month.sites, vec!["", "S-1", "S-2"]),
        (&month.regions, vec!["", "north"]),
        (&month.customers, vec!["", "Bank"]),
    ] {
        assert_eq!(groups.keys().map(String::as_str).collect::<Vec<_>>(), names);
        assert_eq!(sum(groups.values()), month.fleet);
    }
    let kiosks = [&moved, &lost].map(|id| board.kiosk(id, now)[1].unwrap());
    assert_eq!(sum(kiosks.iter()), month.fleet);
    assert_eq!(kiosks[0].ratios[0], Ratio::new(150_000, 2 * 86_400));
    let avail = month.fleet.ratios[1];
    assert_eq!(month.fleet.down_s.iter().sum::<i64>(), avail.den - avail.num);
    assert_eq!((month.fleet.known_s, month.fleet.unknown_s), (3 * 86_400, 3 * 3_600));
    // A period that is over is nobody's month any more.
    let later = Timestamp(october().to * 1_000);
    assert_eq!(board.totals(later)[1].fleet, Seconds::default());
    assert_eq!(board.kiosk(&moved, later), [None; 3]);
    assert_eq!(board.kiosk(&"unknown".parse().unwrap(), now), [None; 3]);
}
