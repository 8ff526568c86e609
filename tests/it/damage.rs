//! The server's database file, damaged in every way we could think of: what stands there is taken whole or
//! refused with a sentence. A server never begins empty beside evidence of a database, and what it refuses stays
//! as it was.
use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use kioskwatch_domain::{change::Change, image::FleetImage};
use kioskwatch_server::store::{AuditVerdict, Store, StoreError};
use kioskwatch_tests::{
    harness::{
        server::Workdir,
        stack::{PATIENCE, Plan},
        untested::not_tested_here,
        wait::wait_until,
    },
    roles::Role,
};
use sqlx::{Connection as _, Executor as _};

use crate::{
    program,
    store_contract::{
        rows::{NOW, audit},
        writing::everything,
    },
};

const NAME: &str = "kioskwatch.sqlite";
pub(crate) const PAGE: usize = 4_096;
const ENDINGS: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// A database, as a start finds it.
pub(crate) struct Place {
    dir: Workdir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: Workdir::new("kioskwatch-damage").unwrap() }
    }

    pub(crate) fn file(&self, ending: &str) -> PathBuf {
        self.dir.path().join(format!("{NAME}{ending}"))
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.file("").display())
    }

    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        for ending in ENDINGS {
            let _ = fs::copy(self.file(ending), copy.file(ending));
        }
        copy
    }

    pub(crate) fn flip(&self, ending: &str, bit: usize) {
        let mut bytes = fs::read(self.file(ending)).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(self.file(ending), bytes).unwrap();
    }

    fn cut_to(&self, bytes: u64) {
        fs::File::options().write(true).open(self.file("")).unwrap().set_len(bytes).unwrap();
    }

    /// Everything a start finds there, or why it does not start.
    async fn open(&self) -> Result<FleetImage, StoreError> {
        let store = Store::open(&self.url()).await?;
        let image = store.load_image(NOW).await;
        store.close().await;
        image
    }

    #[track_caller]
    pub(crate) fn refuses(&self, words: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let before = fs::read(self.file("")).ok();
            let refused = self.open().await.expect_err(&format!("{place}: it must not start"));
            let text = refused.to_string();
            assert!(text.contains(words) && text.contains(NAME), "{place}: {text}");
            assert_eq!(fs::read(self.file("")).ok(), before, "{place}: what is refused stays as it was");
        }
    }
}

/// Closed in order, and what is in it.
async fn closed() -> (Place, FleetImage) {
    let place = Place::new();
    let store = Store::open(&place.url()).await.unwrap();
    let (changes, image) = everything();
    store.commit(&changes).await.unwrap();
    store.close().await;
    (place, image)
}

/// As a killed server leaves it: what was committed stands in the log.
async fn killed() -> (Place, FleetImage) {
    let place = Place::new();
    let store = Store::open(&place.url()).await.unwrap();
    let (changes, image) = everything();
    store.commit(&changes).await.unwrap();
    let killed = place.copy();
    store.close().await;
    (killed, image)
}

#[tokio::test]
async fn a_whole_file_and_one_after_an_unclean_end_are_taken() {
    for (place, image) in [closed().await, killed().await] {
        assert_eq!(place.copy().open().await.unwrap(), image);
        assert_eq!(Store::check(&place.url()).await.unwrap(), Some(Vec::new()));
    }
    // Restored from a backup: the file alone, perhaps with the lock of before.
    let (place, image) = closed().await;
    fs::remove_file(place.file(".lock")).unwrap();
    assert_eq!(place.open().await.unwrap(), image);
}

#[tokio::test]
async fn a_file_that_is_gone_empty_or_cut_short_is_no_new_beginning() {
    let (place, _) = closed().await;
    let bytes = fs::metadata(place.file("")).unwrap().len();
    for (cut, words) in [
        (0, "it is empty"),
        (1, "cut short"),
        (99, "cut short"),
        (100, "cut short"),
        (4_096, "cut short"),
        (bytes / 2, "cut short"),
        (bytes - 1, "cut short"),
    ] {
        let copy = place.copy();
        copy.cut_to(cut);
        copy.refuses(words).await;
    }
    // Shorter and shorter: around every page and at so many bytes between, then at each of the first two pages.
    let (page, copy) = (PAGE as u64, place.copy());
    let coarse =
        (2 * page..bytes).filter(|cut| cut % 64 == 0 || matches!(cut % page, 0 | 1) || (cut + 1) % page == 0);
    let mut cuts = 0;
    for cut in (1..2 * page).chain(coarse).rev() {
        copy.cut_to(cut);
        copy.refuses("cut short").await;
        cuts += 1;
    }
    println!("{cuts} cuts of {bytes} bytes");
    let gone = place.copy();
    fs::remove_file(gone.file("")).unwrap();
    gone.refuses("it is gone, and a database was in use here").await;
    assert!(!gone.file("").exists());
    // Somebody said that it may begin anew.
    fs::remove_file(gone.file(".lock")).unwrap();
    assert!(gone.open().await.unwrap().kiosks.is_empty());

    let (place, _) = killed().await;
    fs::remove_file(place.file(".lock")).unwrap();
    place.cut_to(0);
    place.refuses("holds commits of a database").await;
    fs::remove_file(place.file("")).unwrap();
    place.refuses("holds commits of a database").await;
}

#[tokio::test]
async fn a_log_that_is_gone_torn_or_of_another_database_is_noticed() {
    let (place, image) = killed().await;
    let without = place.copy();
    fs::remove_file(without.file("-wal")).unwrap();
    without.refuses("is gone, and with it what was committed last").await;
    for bit in 0..32 * 8 {
        let torn = place.copy();
        torn.flip("-wal", bit);
        torn.refuses("damaged").await;
    }
    let (other, _) = killed().await;
    let mixed = place.copy();
    fs::copy(other.file("-wal"), mixed.file("-wal")).unwrap();
    fs::remove_file(mixed.file("-shm")).unwrap();
    mixed.refuses("this is another database (").await;
    // The right log back, and nothing is lost.
    fs::copy(place.file("-wal"), mixed.file("-wal")).unwrap();
    assert_eq!(mixed.open().await.unwrap(), image);
}

/// A power cut left a part of the last commit. Every byte of a log is cut in a test beside the code that reads it; here
/// all that a server keeps stands in one.
#[tokio::test]
async fn a_log_whose_last_commit_is_cut_is_taken_with_all_that_was_acknowledged_before_it() {
    const HEADER: usize = 24;
    let place = Place::new();
    let store = Store::open(&place.url()).await.unwrap();
    let (changes, image) = everything();
    store.commit(&changes).await.unwrap();
    let audited = async |store: &Store| match store.verify_audit().await.unwrap() {
        AuditVerdict::Intact { entries, .. } => entries,
        broken => panic!("{broken:?}"),
    };
    let (before, begin) = (audited(&store).await, fs::metadata(place.file("-wal")).unwrap().len() as usize);
    store.commit(&[Change::Audit(audit(1_000))]).await.unwrap();
    let killed = place.copy();
    store.close().await;
    let log = fs::read(killed.file("-wal")).unwrap();
    assert!(log.len() >= begin + 2 * (HEADER + PAGE), "{begin} of {}", log.len());
    let in_frame = |cut: usize| (cut - begin) % (HEADER + PAGE);
    let cuts = (begin..log.len()).filter(|&cut| in_frame(cut) <= HEADER || in_frame(cut) % 1_024 == 0);
    for cut in cuts.chain([log.len()]) {
        let copy = killed.copy();
        fs::write(copy.file("-wal"), &log[..cut]).unwrap();
        let store = Store::open(&copy.url()).await.unwrap();
        assert_eq!(store.load_image(NOW).await.unwrap(), image, "cut at {cut}");
        assert_eq!(audited(&store).await, before + u64::from(cut == log.len()), "cut at {cut}");
        store.close().await;
    }
}

#[tokio::test]
async fn flipped_bits_of_the_header_are_refused_or_change_nothing() {
    let (place, image) = closed().await;
    let mut refused = 0;
    // A prime step: every byte and every bit of a byte has its turn.
    for bit in (0..100 * 8).step_by(7) {
        let copy = place.copy();
        copy.flip("", bit);
        match copy.open().await {
            Ok(found) => assert_eq!(found, image, "bit {bit}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 20, "{refused}");
}

#[tokio::test]
async fn the_check_names_every_page_that_is_none() {
    let (place, _) = closed().await;
    // Pages that nothing uses, as a migration leaves them, may hold anything.
    let mut other = sqlx::AnyConnection::connect(&format!("{}?mode=rw", place.url())).await.unwrap();
    other.execute("VACUUM").await.unwrap();
    other.close().await.unwrap();
    let pages = usize::try_from(fs::metadata(place.file("")).unwrap().len()).unwrap() / PAGE;
    for page in 1..pages {
        let copy = place.copy();
        let mut bytes = fs::read(copy.file("")).unwrap();
        // The kind of a page is its first byte.
        bytes[page * PAGE] = 0xEE;
        fs::write(copy.file(""), bytes).unwrap();
        let found = Store::check(&copy.url()).await;
        assert!(!matches!(&found, Ok(Some(problems)) if problems.is_empty()), "page {}: {found:?}", page + 1);
    }
}

#[tokio::test]
async fn the_check_writes_nothing_and_tells_a_schema_of_another_version() {
    let (place, _) = closed().await;
    fs::remove_file(place.file(".lock")).unwrap();
    let url = format!("{}?mode=rw", place.url());
    let mut other = sqlx::AnyConnection::connect(&url).await.unwrap();
    let newest = "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
    for undone in [None, Some(newest), Some("DROP TABLE _sqlx_migrations")] {
        if let Some(undone) = undone {
            other.execute(undone).await.unwrap();
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
        }
        let before = fs::read(place.file("")).unwrap();
        assert_eq!(Store::check(&place.url()).await.unwrap(), Some(Vec::new()));
        match (undone, Store::open_to_read(&place.url()).await) {
            (None, Ok(store)) => {
                assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { .. }));
                store.close().await;
            }
            (Some(_), Err(error @ StoreError::SchemaTooOld { .. })) => {
                assert!(error.to_string().contains("kioskwatch-server migrate"), "{error}");
            }
            (undone, opened) => panic!("{undone:?}: {opened:?}"),
        }
        assert!(!place.file(".lock").exists());
        assert_eq!(fs::read(place.file("")).unwrap(), before);
    }
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_first_start_killed_in_its_first_moments_is_begun_anew() {
    sqlx::any::install_default_drivers();
    let place = Place::new();
    let url = format!("{}?mode=rwc", place.url());
    let mut young = sqlx::AnyConnection::connect(&url).await.unwrap();
    // Nothing is committed, and a part of it stands in the file already.
    for sql in
        ["PRAGMA cache_size = 1", "BEGIN", "CREATE TABLE a (b)", "INSERT INTO a VALUES (zeroblob(1000000))"]
    {
        young.execute(sql).await.unwrap();
    }
    let killed = place.copy();
    young.close().await.unwrap();
    for ending in ["", "-journal"] {
        assert!(fs::metadata(killed.file(ending)).unwrap().len() > 0, "{ending}");
    }
    assert!(killed.open().await.unwrap().kiosks.is_empty());
    assert!(!killed.file("-journal").exists());
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let directory = Place::new();
    fs::create_dir(directory.file("")).unwrap();
    directory.refuses("this is not a file").await;

    let text = Place::new();
    fs::write(text.file(""), "dear diary, ".repeat(1_000)).unwrap();
    text.refuses("no SQLite database").await;

    let foreign = Place::new();
    let url = format!("{}?mode=rwc", foreign.url());
    let mut other = sqlx::AnyConnection::connect(&url).await.unwrap();
    other.execute("CREATE TABLE diary (day TEXT)").await.unwrap();
    other.close().await.unwrap();
    foreign.refuses("the database of another program, with the table diary").await;
}

/// A program as a user who owns nothing; `None` where that cannot be tried.
fn as_nobody(program: &str, args: &[&std::ffi::OsStr]) -> Option<Output> {
    let nobody = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", program]).stdin(Stdio::null());
        command
    };
    let may_run = nobody("test").args(["-x", program]).status();
    if !may_run.is_ok_and(|status| status.success()) {
        not_tested_here("running as another user takes root");
        return None;
    }
    Some(nobody(program).args(args).output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_not_open_its_database_says_which_file_and_why() {
    let mut stack = Plan::new(program()).start_without_kiosks().await;
    stack.server.ready(PATIENCE).await.unwrap();
    assert!(stack.server.stop().await.unwrap());
    let data = &stack.server.data_dir;
    for (path, mode) in [(data.clone(), 0o777), (data.join(format!("{NAME}.lock")), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let config = stack.server.config.as_os_str();
    let args = [Role::Server.word().as_ref(), "migrate".as_ref(), "--config".as_ref(), config];
    let Some(output) = as_nobody(program(), &args) else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(NAME) && said.contains("Permission denied"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_start_ends_with_code_1_and_one_sentence() {
    let mut stack = Plan::new(program()).start_without_kiosks().await;
    stack.server.ready(PATIENCE).await.unwrap();
    assert!(stack.server.stop().await.unwrap());
    let file = stack.server.data_dir.join(NAME);
    fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    let output = stack.server.command(&["serve"]).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        last.contains("it is empty, and a database was in use here. What to do: put the newest backup"),
        "{said}"
    );
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
}

/// Where this text stands in the file, as a page.
fn page_with(file: &Path, text: &str) -> usize {
    let bytes = fs::read(file).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    at.expect("the text stands in the file") / PAGE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_cannot_be_read_fails_its_requests_is_told_until_it_can_and_stops_nothing_else() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    stack.kiosk_until("K-0001", "it to be registered", |_| true).await;
    assert!(stack.server.stop().await.unwrap());
    let file = stack.server.data_dir.join(NAME);
    let store = Store::open(&format!("sqlite://{}", file.display())).await.unwrap();
    let entries: Vec<Change> = (1_000..1_200).map(|n| Change::Audit(audit(n))).collect();
    store.commit(&entries).await.unwrap();
    store.close().await;
    drop(store);
    let page = page_with(&file, "ticket/1050");
    let set_kind = |kind: u8| {
        let file = fs::File::options().read(true).write(true).open(&file).unwrap();
        let mut before = [0];
        file.read_exact_at(&mut before, (page * PAGE) as u64).unwrap();
        file.write_all_at(&[kind], (page * PAGE) as u64).unwrap();
        before[0]
    };
    let right = set_kind(0xEE);

    stack.server.start().await.unwrap();
    let pid = stack.server.process().unwrap().id();
    stack.server.ready(PATIENCE).await.unwrap();
    let refused = stack.api().list("/api/v1/audit").await.unwrap_err();
    assert!(refused.contains("503") && refused.contains("database_damaged"), "{refused}");
    let ready = stack.server.monitoring_api().get("/readyz").await.unwrap();
    assert!(ready.status == 503 && ready.body.to_string().contains("cannot be read"), "{ready:?}");
    assert_eq!(stack.server.monitoring_api().get("/livez").await.unwrap().status, 200);
    stack.kiosks[0].boot().unwrap();
    stack.all_in_service().await;
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
    assert_eq!(stack.server.process().unwrap().id(), pid);

    let check = stack.server.command(&["check"]).await.unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.code() == Some(1) && said.contains("damaged"), "{said}");

    set_kind(right);
    stack.kiosks[0].printer.set(|printer| printer.cover_open = false);
    wait_until("the page to be read again", PATIENCE, || async {
        stack.api().list("/api/v1/audit").await.map(drop)
    })
    .await;
    stack.server.ready(PATIENCE).await.unwrap();
}
