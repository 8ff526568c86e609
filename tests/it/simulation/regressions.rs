//! Stories that failed once, as short as they were found. Each says what the mistake was.
use kioskwatch_tests::sim::{
    Story, run,
    story::{Crash, Happening, Setup, Timed, Weather},
};

use super::MINUTE;

const LENGTH_MS: i64 = 72 * MINUTE;
const CALM: Setup = Setup { small_journals: false, short_memory: false, skew_ms: 300 };

#[track_caller]
fn holds(seed: u64, kiosks: usize, setup: Setup, events: &[(i64, Happening)]) {
    let events = events.iter().map(|&(at_ms, what)| Timed { at_ms, what }).collect();
    let story = Story { seed, kiosks, length_ms: LENGTH_MS, setup, events, mistake: None };
    if let Err(failure) = run(&story) {
        panic!("{story}{}", failure.0.join("\n"));
    }
}

/// The server had forgotten the clock of a boot it had heard, and took the device's wrong one.
#[test]
fn a_boot_heard_before_a_restart_of_the_server_keeps_its_place_in_time() {
    holds(
        528,
        1,
        Setup { skew_ms: 10 * MINUTE, ..CALM },
        &[
            (4_115_085, Happening::ServerCrash { crash: Crash::AtOnce, ms: 206_809 }),
            (4_132_895, Happening::Fault { k: 0, fault: 0, ms: 1_192_627 }),
        ],
    );
}

/// Some numbers back the server no longer knew the content, took the number's word and lost the record.
#[test]
fn a_record_of_a_forked_journal_is_not_taken_for_another_under_its_number() {
    holds(
        394,
        1,
        CALM,
        &[
            (1_477_797, Happening::BrokerDeath { ms: 466_749 }),
            (1_600_988, Happening::Clone { k: 0, ms: 713_409 }),
        ],
    );
}

/// The broker came back, the agents took their two minutes of jitter, and the site was called dead.
#[test]
fn agents_that_take_their_time_after_a_broker_outage_cost_no_ticket() {
    holds(
        369,
        2,
        CALM,
        &[
            (187_866, Happening::AgentCrash { k: 0, ms: 111_424 }),
            (561_866, Happening::BrokerDeath { ms: 230_933 }),
        ],
    );
}

/// A fault stood in the range that a restored server had lost and the agent no longer held.
#[test]
fn a_restored_server_learns_of_a_fault_whose_record_nobody_holds() {
    holds(
        1_146,
        1,
        Setup { short_memory: true, ..CALM },
        &[
            (387_632, Happening::ServerBackup),
            (797_094, Happening::Fault { k: 0, fault: 1, ms: 4_433_483 }),
            (3_023_467, Happening::ServerRestore { ms: 7_847 }),
        ],
    );
}

/// The last kiosk of a dead site came back while the server was settling, and nobody looked again.
#[test]
fn a_site_that_returns_while_the_server_settles_is_not_out_for_ever() {
    holds(
        7_124,
        2,
        CALM,
        &[
            (2_810_996, Happening::PowerCut { k: 1, ms: 1_928_072 }),
            (2_863_168, Happening::PowerCut { k: 0, ms: 7_200_000 }),
            (4_181_840, Happening::BrokerDeath { ms: 1_508 }),
        ],
    );
}

/// A will was judged by the clock of the turn, and the kiosk's new connection, heard before, waited behind it.
#[test]
fn a_kiosk_heard_in_the_same_turn_as_a_will_is_not_offline() {
    holds(
        32_345,
        2,
        CALM,
        &[
            (65_268, Happening::Stop { k: 1, ms: 15_274, machine: true }),
            (101_576, Happening::ServerCrash { crash: Crash::BeforeAcks, ms: 2_916 }),
            (424_011, Happening::Fault { k: 0, fault: 3, ms: 3_671 }),
            (699_839, Happening::Fault { k: 0, fault: 5, ms: 2_000 }),
            (891_942, Happening::PowerCut { k: 0, ms: 5_446 }),
        ],
    );
}

/// A copied disk left the current connection's own boot as "the other one". When its clock was set back, its heartbeats
/// looked as if its own birth had overtaken them.
#[test]
fn a_heartbeat_is_never_overtaken_by_the_birth_of_its_own_connection() {
    let weather = Weather { loss_per_mille: 124, twice_per_mille: 189, delay_ms: 13_490 };
    holds(
        2_023,
        2,
        CALM,
        &[
            (210_333, Happening::Fault { k: 0, fault: 0, ms: 126_589 }),
            (356_437, Happening::Fault { k: 1, fault: 1, ms: 5_067_016 }),
            (691_370, Happening::Transactions { k: 1, count: 4 }),
            (740_974, Happening::BrokerDeath { ms: 777 }),
            (1_882_680, Happening::Clone { k: 0, ms: 6_998_350 }),
            (2_103_676, Happening::ServerCutOff { ms: 843_064 }),
            (2_560_121, Happening::PowerCut { k: 1, ms: 5_660_758 }),
            (3_707_617, Happening::ClockJump { k: 0, by_ms: 14_312_533 }),
            (3_929_642, Happening::Weather { k: 0, weather, ms: 369_367 }),
            (4_302_600, Happening::BrokerDeath { ms: 16_243 }),
        ],
    );
}

/// Of two copies of a disk the one with the slow clock looked overtaken by the other's birth, and was not heard at all.
#[test]
fn a_kiosk_whose_heartbeat_looks_overtaken_is_alive() {
    let weather = Weather { loss_per_mille: 137, twice_per_mille: 146, delay_ms: 463 };
    holds(
        30_648,
        2,
        Setup { skew_ms: 10 * MINUTE, ..CALM },
        &[
            (152_076, Happening::Clone { k: 0, ms: 658_401 }),
            (192_634, Happening::Weather { k: 0, weather, ms: 351_234 }),
        ],
    );
}

/// After the second death of its broker within a minute it waited longer than the server's patience before its next
/// try: a short outage of ours, of which nobody was unknown, and all the same nobody may be called offline for it.
#[test]
fn a_kiosk_that_waits_long_after_two_broker_deaths_is_not_offline() {
    holds(
        97_834,
        2,
        CALM,
        &[
            (473_055, Happening::PowerCut { k: 0, ms: 6_346 }),
            (1_243_457, Happening::Fault { k: 1, fault: 0, ms: 3_186_552 }),
            (2_043_218, Happening::BrokerDeath { ms: 1_013 }),
            (2_064_104, Happening::BrokerDeath { ms: 242_608 }),
            (2_399_474, Happening::PowerCut { k: 1, ms: 901_187 }),
            (2_421_347, Happening::LinkCut { k: 0, ms: 2_657, will: true }),
            (3_002_214, Happening::Fault { k: 0, fault: 1, ms: 6_906_980 }),
            (3_348_785, Happening::BrokerDeath { ms: 263_144 }),
            (3_661_658, Happening::BrokerDeath { ms: 1_590 }),
        ],
    );
}

/// The last word of a run, and how long it lived after it, were told by two clocks: the run counted as off although its
/// heartbeats had been heard.
#[test]
fn a_kiosk_whose_clock_was_set_back_before_it_lost_power_had_been_on() {
    holds(
        37,
        2,
        CALM,
        &[
            (3_172_832, Happening::ClockJump { k: 1, by_ms: -18_344_908_275 }),
            (3_662_112, Happening::PowerCut { k: 1, ms: 3_671_460 }),
        ],
    );
}

/// It was over for an hour when the journal told of it, and its ticket waited for a service clock to run out.
#[test]
fn a_fault_that_came_and_went_while_the_line_was_cut_leaves_no_ticket_open() {
    holds(
        15,
        1,
        CALM,
        &[
            (60_000, Happening::LinkCut { k: 0, ms: 60 * MINUTE, will: true }),
            (120_000, Happening::Fault { k: 0, fault: 2, ms: 30_000 }),
        ],
    );
}

/// Its incident had begun on a clock that was hours ahead, so that the ticket recovered from a time to come.
#[test]
fn a_kiosk_called_offline_on_a_wrong_clock_leaves_no_ticket_open_when_it_is_right_again() {
    holds(
        34,
        1,
        CALM,
        &[
            (2_099_364, Happening::ServerClockJump { by_ms: 28_278_632, ms: 2_624_622 }),
            (2_912_264, Happening::PowerCut { k: 0, ms: 6_471_504 }),
        ],
    );
}

/// It died on a clock that was a day ahead and came back on the right one: the ticket was looked at a day later.
#[test]
fn a_server_whose_clock_is_set_back_while_it_is_away_leaves_no_ticket_open() {
    holds(
        15,
        1,
        CALM,
        &[
            (600_000, Happening::ServerClockJump { by_ms: 86_400_000, ms: 3_000_000 }),
            (3_400_000, Happening::Fault { k: 0, fault: 2, ms: 150_000 }),
            (3_590_000, Happening::ServerCrash { crash: Crash::AtOnce, ms: 30_000 }),
        ],
    );
}

/// The module's recovery was among the records that the agent had forgotten: until its snapshot, what the older store
/// remembered of the module made a kiosk that said it served one that was down.
#[test]
fn what_a_restored_store_remembers_of_modules_proves_nothing_about_the_time_after_lost_records() {
    holds(
        11_380,
        2,
        Setup { small_journals: false, short_memory: true, skew_ms: 300 },
        &[
            (1_080_990, Happening::Fault { k: 1, fault: 1, ms: 300_161 }),
            (1_348_419, Happening::ServerBackup),
            (3_093_795, Happening::Fault { k: 1, fault: 4, ms: 5_640_678 }),
            (4_154_907, Happening::ServerRestore { ms: 692 }),
        ],
    );
}

/// Of a site there is no service to ask: its ticket was good since it was opened, which was on a clock a month ahead.
#[test]
fn a_site_called_dark_on_a_wrong_clock_leaves_no_ticket_open_when_it_is_right_again() {
    holds(
        66_498,
        2,
        CALM,
        &[
            (2_741_703, Happening::ServerClockJump { by_ms: 2_426_074_994, ms: 3_194_363 }),
            (4_207_536, Happening::PowerCut { k: 0, ms: 642_062 }),
            (4_209_552, Happening::HalfOpen { k: 1, ms: 62_812 }),
        ],
    );
}

/// A will was judged an interval after the last sign of life, which left a kiosk whose heartbeat was due no time to come
/// back: a moment of a tear that took everybody, and the site was dark.
#[test]
fn a_fleet_torn_off_by_its_broker_has_time_to_come_back() {
    holds(20, 2, CALM, &[(2_880_394, Happening::Tear { ms: 8_667 })]);
}

/// A restored server did not know where the clock of a boot stood that it had heard before: by the kiosk's own wrong clock
/// its records were of months ago, and a fault of today had been there ever since.
#[test]
fn a_kiosk_with_a_wrong_clock_keeps_its_place_in_time_across_lost_records() {
    holds(
        10,
        1,
        CALM,
        &[
            (600_000, Happening::ClockJump { k: 0, by_ms: -6_422_897_797 }),
            (1_200_000, Happening::BrokerDeath { ms: 543_207 }),
            (1_320_000, Happening::ServerBackup),
            (1_900_000, Happening::ClockJump { k: 0, by_ms: 529_788_442 }),
            (2_400_000, Happening::Fault { k: 0, fault: 3, ms: 1_800_000 }),
            (3_000_000, Happening::ServerRestore { ms: 900_500 }),
        ],
    );
}

/// Here the judge was wrong: the power went before the group commit of the change that ended a stretch, so that not the
/// change but the last tick is what proves the stretch, and it was ten seconds old.
#[test]
fn what_was_told_just_before_the_power_went_proves_nothing() {
    holds(
        33_836,
        3,
        CALM,
        &[
            (7_053_592, Happening::Fault { k: 2, fault: 3, ms: 10_188 }),
            (7_053_594, Happening::PowerCut { k: 2, ms: 4_573 }),
        ],
    );
}

/// The server was restored to before a fault that the agent had told and forgotten, with the last snapshot, to make room;
/// the server's word that it knew less was lost on the way, so that nobody told it the state again.
#[test]
fn a_journal_that_forgets_its_last_snapshot_tells_the_state_anew() {
    let bad =
        |loss_per_mille, twice_per_mille, delay_ms| Weather { loss_per_mille, twice_per_mille, delay_ms };
    holds(
        21_118,
        2,
        Setup { small_journals: true, ..CALM },
        &[
            (87_795, Happening::ServerBackup),
            (375_583, Happening::Tear { ms: 9_762 }),
            (705_093, Happening::HalfOpen { k: 1, ms: 512_818 }),
            (764_995, Happening::Weather { k: 1, weather: bad(169, 50, 14_829), ms: 3_898_190 }),
            (1_022_882, Happening::Weather { k: 0, weather: bad(28, 74, 607), ms: 5_990_365 }),
            (2_340_555, Happening::Weather { k: 1, weather: bad(259, 289, 191), ms: 1_585_847 }),
            (2_715_892, Happening::Fault { k: 1, fault: 1, ms: 6_092_944 }),
            (3_095_475, Happening::ServerRestore { ms: 559_596 }),
            (3_431_713, Happening::Transactions { k: 0, count: 400 }),
            (3_506_155, Happening::Transactions { k: 1, count: 400 }),
        ],
    );
}

/// Here the world was wrong: a snapshot that was due in the last moment had no time to be acknowledged.
#[test]
fn a_snapshot_that_is_due_at_the_very_end_is_no_journal_that_does_not_drain() {
    let weather = Weather { loss_per_mille: 219, twice_per_mille: 247, delay_ms: 231 };
    holds(
        95_946,
        2,
        Setup { short_memory: true, ..CALM },
        &[
            (281_760, Happening::Transactions { k: 0, count: 1 }),
            (339_128, Happening::Fault { k: 1, fault: 2, ms: 7_200_000 }),
            (977_988, Happening::PowerCut { k: 0, ms: 9_949 }),
            (1_235_848, Happening::Weather { k: 1, weather, ms: 37_356 }),
            (1_529_273, Happening::Transactions { k: 1, count: 4 }),
            (1_677_374, Happening::PowerCut { k: 1, ms: 783_761 }),
            (1_742_500, Happening::PowerCut { k: 0, ms: 3_052_663 }),
        ],
    );
}
