//! The log beside the server's database file, damaged: what was told to be kept is there after a start, or the
//! start is refused. Only what a power cut may leave of the last commit passes.
use std::fs;

use kioskwatch_domain::change::Change;
use kioskwatch_server::store::{AuditVerdict, Store};

use crate::{
    damage::{PAGE, Place},
    store_contract::rows::audit,
};

const HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;
const COMMITS: i64 = 20;

/// As a killed server leaves it, and how long its log was after each of its commits, in frames.
async fn killed_after_commits() -> (Place, Vec<usize>) {
    let place = Place::new();
    let store = Store::open(&place.url()).await.unwrap();
    let frames = || (fs::metadata(place.file("-wal")).unwrap().len() as usize - HEADER) / FRAME;
    let mut ends = vec![frames()];
    for n in 0..COMMITS {
        store.commit(&[Change::Audit(audit(n))]).await.unwrap();
        ends.push(frames());
    }
    let killed = place.copy();
    store.close().await;
    (killed, ends)
}

async fn entries(place: &Place) -> i64 {
    let store = Store::open(&place.url()).await.unwrap();
    let verdict = store.verify_audit().await.unwrap();
    store.close().await;
    match verdict {
        AuditVerdict::Intact { entries, .. } => i64::try_from(entries).unwrap(),
        broken @ AuditVerdict::Broken { .. } => panic!("{broken:?}"),
    }
}

#[tokio::test]
async fn a_log_damaged_before_commits_that_were_told_is_refused() {
    let (place, ends) = killed_after_commits().await;
    assert_eq!(entries(&place.copy()).await, COMMITS);
    // One bit of every frame in turn: of its header, of its salts and sums, of its page.
    let told = ends[ends.len() - 3];
    for frame in 0..told {
        let damaged = place.copy();
        let byte = [5, 9, 17, 24, 2_000, FRAME - 1][frame % 6];
        damaged.flip("-wal", (HEADER + frame * FRAME + byte) * 8);
        let good = HEADER + frame * FRAME;
        damaged.refuses(&format!("is damaged after {good} bytes, before commits")).await;
    }
    // What the sentence offers to those who have no backup.
    let middle = ends[10];
    place.flip("-wal", (HEADER + middle * FRAME + 100) * 8);
    place.refuses("truncate --size=").await;
    let log = fs::File::options().write(true).open(place.file("-wal")).unwrap();
    log.set_len((HEADER + middle * FRAME) as u64).unwrap();
    assert_eq!(entries(&place).await, 10);
}

/// Every byte of the frames' headers, and of their pages every so many: each is a start of its own.
#[tokio::test]
async fn a_log_cut_anywhere_in_its_last_commits_has_what_was_whole_before_the_cut() {
    const EVERY: usize = 64;
    let (place, ends) = killed_after_commits().await;
    let bytes = fs::read(place.file("-wal")).unwrap();
    let end_of = |commit: usize| HEADER + ends[commit] * FRAME;
    let last = ends.len() - 1;
    let mut cuts = 0;
    for cut in end_of(last - 3)..=end_of(last) {
        let within = (cut - HEADER) % FRAME;
        if within > 24 && !within.is_multiple_of(EVERY) {
            continue;
        }
        let whole = (0..=last).rev().find(|&commit| end_of(commit) <= cut).unwrap();
        let torn = place.copy();
        fs::write(torn.file("-wal"), &bytes[..cut]).unwrap();
        assert_eq!(entries(&torn).await, i64::try_from(whole).unwrap(), "cut at {cut}");
        cuts += 1;
    }
    assert!(cuts > 200, "{cuts}");
}

#[tokio::test]
async fn what_a_power_cut_leaves_of_the_last_commit_is_no_damage() {
    let (place, ends) = killed_after_commits().await;
    let [.., before, end] = ends[..] else { panic!("{ends:?}") };
    assert!(end - before >= 2, "a commit of several frames: {ends:?}");
    let bytes = fs::read(place.file("-wal")).unwrap();
    let (from, to) = (HEADER + before * FRAME, HEADER + end * FRAME);
    for cut in [from, from + 1, from + 24, from + FRAME, to - 1] {
        let torn = place.copy();
        fs::write(torn.file("-wal"), &bytes[..cut]).unwrap();
        assert_eq!(entries(&torn).await, COMMITS - 1, "cut at {cut}");
    }
    // Its pages reach the disk in any order: the first one is missing, the last one is there.
    let torn = place.copy();
    let mut holed = bytes.clone();
    holed[from..from + FRAME].fill(0);
    fs::write(torn.file("-wal"), &holed).unwrap();
    assert_eq!(entries(&torn).await, COMMITS - 1);
    // Behind it may stand what an earlier round of the log left.
    let torn = place.copy();
    let mut long = bytes[..to - 1].to_vec();
    long.push(!bytes[to - 1]);
    let mut old = bytes[HEADER..to].to_vec();
    old.chunks_exact_mut(FRAME).for_each(|frame| frame[8] ^= 1);
    long.extend(old);
    fs::write(torn.file("-wal"), &long).unwrap();
    assert_eq!(entries(&torn).await, COMMITS - 1);
}

#[tokio::test]
async fn an_emptied_log_of_a_database_that_stands_only_there_is_no_new_beginning() {
    let (place, _) = killed_after_commits().await;
    assert_eq!(fs::metadata(place.file("")).unwrap().len(), PAGE as u64, "all else stands in the log");
    fs::write(place.file("-wal"), []).unwrap();
    place.refuses("it is an empty database, and another one").await;
    fs::remove_file(place.file(".lock")).unwrap();
    assert_eq!(entries(&place).await, 0, "somebody said that it may begin anew");
}
