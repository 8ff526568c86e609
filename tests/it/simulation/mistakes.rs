//! Would the simulation notice? Known mistakes are planted around the product, and it must find each.
use kioskwatch_tests::sim::{Mistake, Story, run, story::Themes};

use super::MINUTE;

/// Stories within which a mistake must show; most show within the first ten.
const SEEDS: u64 = 500;

/// The trouble that brings a mistake to light. Everything together would find them too, only later.
const fn themes(mistake: Mistake) -> Themes {
    let calm = Themes::NONE;
    match mistake {
        Mistake::TicketForgotten | Mistake::TicketNeverResolved => calm,
        Mistake::AckBeforeCommit
        | Mistake::HeadsForgotten
        | Mistake::StaleImage
        | Mistake::OwnDeafnessUnnoticed
        | Mistake::NoSettling => Themes { server_trouble: true, ..calm },
        Mistake::AckOfReceived | Mistake::GapSkipped | Mistake::GapGivenUp => {
            Themes { bad_network: true, ..calm }
        }
        Mistake::WillIsVerdict | Mistake::PubackTrusted | Mistake::SentBeforeDurable => {
            Themes { kiosk_trouble: true, bad_network: true, ..calm }
        }
        Mistake::NoTimeAfterWill => Themes { tears: true, ..calm },
        Mistake::OwnClockJumpUnnoticed => Themes { clocks: true, ..calm },
        Mistake::DeviceClockTrusted => Themes { clocks: true, kiosk_trouble: true, ..calm },
        Mistake::DigestIgnored | Mistake::AckAboveLastObeyed | Mistake::WasStripped => {
            Themes { disks: true, clones: true, bad_network: true, ..calm }
        }
        Mistake::DroppedLost => Themes { server_trouble: true, kiosk_trouble: true, ..calm },
    }
}

fn found_after(mistake: Mistake) -> Option<u64> {
    (0..SEEDS).find(|&seed| {
        let story = Story::about(themes(mistake), seed, 1, 40 * MINUTE);
        let found = run(&Story { mistake: Some(mistake), ..story.clone() }).is_err();
        assert!(!found || run(&story).is_ok(), "seed {seed} fails without {mistake:?} too");
        found
    })
}

#[test]
fn every_planted_mistake_is_found() {
    let halves = Mistake::ALL.split_at(Mistake::ALL.len() / 2);
    let search = |mistakes: &'static [Mistake]| {
        move || mistakes.iter().map(|&mistake| (mistake, found_after(mistake))).collect::<Vec<_>>()
    };
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(search(halves.1));
        let mut found = search(halves.0)();
        found.extend(other.join().unwrap());
        found
    });
    println!("found by seed: {found:?}");
    let missed: Vec<_> = found.iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} stories: {missed:?}");
}
