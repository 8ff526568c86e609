//! Histories that no seed of ours would make: any happening at any time, made and cut down by proptest.
use kioskwatch_tests::sim::{
    Story, run,
    story::{Crash, Happening, Setup, Timed, Weather},
};
use proptest::prelude::*;

use super::MINUTE;

const LENGTH_MS: i64 = 20 * MINUTE;
const DAY: i64 = 24 * 60 * MINUTE;
const KIOSKS: usize = 2;

fn happening() -> impl Strategy<Value = Happening> {
    let k = 0..KIOSKS;
    let ms = prop_oneof![3 => 500..90_000_i64, 1 => 90_000..LENGTH_MS];
    let crash =
        prop::sample::select(vec![Crash::AtOnce, Crash::BeforeCommit, Crash::AfterCommit, Crash::BeforeAcks]);
    let by_ms = prop_oneof![2 => -10 * MINUTE..10 * MINUTE, 1 => -400 * DAY..400 * DAY];
    let of_kiosk = (k, ms.clone(), by_ms.clone(), 0..6_usize, any::<bool>(), 0..13_u8).prop_map(
        |(k, ms, by_ms, fault, yes, what)| match what {
            0..=2 => Happening::Fault { k, fault, ms },
            3 => Happening::PowerCut { k, ms },
            4 => Happening::AgentCrash { k, ms },
            5 => Happening::Stop { k, ms, machine: yes },
            6 => Happening::LinkCut { k, ms, will: yes },
            7 => Happening::HalfOpen { k, ms },
            8 => {
                let weather = Weather { loss_per_mille: 300, twice_per_mille: 200, delay_ms: ms.min(10_000) };
                Happening::Weather { k, weather, ms }
            }
            9 => Happening::ClockJump { k, by_ms },
            10 => Happening::Clone { k, ms },
            11 => Happening::Transactions { k, count: if yes { 400 } else { 3 } },
            _ if yes => Happening::DiskBackup { k },
            _ => Happening::DiskRestore { k, ms: ms.min(60_000) },
        },
    );
    let of_server = (ms, crash, by_ms, 0..7_u8).prop_map(|(ms, crash, by_ms, what)| match what {
        0 => Happening::BrokerDeath { ms },
        1 => Happening::ServerCutOff { ms },
        2 => Happening::ServerCrash { crash, ms },
        3 => Happening::CommitsFail { times: 7 },
        4 => Happening::ServerBackup,
        5 => Happening::ServerClockJump { by_ms, ms },
        _ => Happening::ServerRestore { ms },
    });
    prop_oneof![3 => of_kiosk, 1 => of_server]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_history_ends_with_both_sides_agreeing(
        seed in 0..1_000_u64,
        small_journals in prop::bool::weighted(0.2),
        mut events in prop::collection::vec((0..LENGTH_MS, happening()), 0..14),
    ) {
        events.sort_by_key(|(at, _)| *at);
        let events = events.into_iter().map(|(at_ms, what)| Timed { at_ms, what }).collect();
        let setup = Setup { small_journals, short_memory: false, skew_ms: 300 };
        let story = Story { seed, kiosks: KIOSKS, length_ms: LENGTH_MS, setup, events, mistake: None };
        if let Err(failure) = run(&story) {
            prop_assert!(false, "{story}{}", failure.0.join("\n"));
        }
    }
}
