//! The emulators from outside: through the published path, as a program on the kiosk sees them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::termios::{OptionalActions, SpecialCodeIndex};

use super::fault::Noise;
use super::{Acceptor, LineFault, Model, Paper, Phase, Printer, Replies, Ups};
use crate::harness::wait;

const PATIENCE: Duration = Duration::from_secs(5);
const DLE_EOT_1: &[u8] = &[0x10, 0x04, 0x01];
const CCNET_POLL: &[u8] = &[0x02, 0x03, 0x06, 0x33, 0xDA, 0x81];

/// A directory of its own for each test; removed at the end.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("kioskwatch-emulator-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A program that has the port open: a plain file, whose reads give up after a while.
struct Host(File);

impl Host {
    fn open(path: &Path) -> Self {
        let host = Self(OpenOptions::new().read(true).write(true).open(path).unwrap());
        host.give_up_after(30);
        host
    }

    /// How long a read waits for the next byte, in tenths of a second.
    fn give_up_after(&self, tenths: u8) {
        let mut settings = rustix::termios::tcgetattr(&self.0).unwrap();
        settings.special_codes[SpecialCodeIndex::VMIN] = 0;
        settings.special_codes[SpecialCodeIndex::VTIME] = tenths;
        rustix::termios::tcsetattr(&self.0, OptionalActions::Now, &settings).unwrap();
    }

    /// Sends, and reads until there are `expected` bytes or nothing more comes.
    fn ask(&mut self, question: &[u8], expected: usize) -> Vec<u8> {
        self.0.write_all(question).unwrap();
        self.read(expected)
    }

    /// Sends, and expects that nothing comes back for a while.
    fn ask_in_vain(&mut self, question: &[u8]) {
        self.give_up_after(2);
        assert_eq!(self.ask(question, 1), b"");
        self.give_up_after(30);
    }

    fn read(&mut self, expected: usize) -> Vec<u8> {
        let mut reply = Vec::new();
        let mut buffer = [0; 64];
        while reply.len() < expected {
            match self.0.read(&mut buffer).unwrap() {
                0 => break,
                length => reply.extend_from_slice(&buffer[..length]),
            }
        }
        reply
    }
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait::wait_until(what, PATIENCE, || {
        std::future::ready(condition().then_some(()).ok_or("not yet".to_owned()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_devices_answer_through_their_paths() {
    let bench = Bench::new("answer");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let ups = Ups::start(&bench.0, "ups").unwrap();
    let acceptor = Acceptor::start(&bench.0, "acceptor").unwrap();

    assert_eq!(Host::open(printer.path()).ask(DLE_EOT_1, 1), [0x12]);
    assert_eq!(Host::open(ups.path()).ask(b"Q1\r", 47).len(), 47);
    assert_eq!(Host::open(acceptor.path()).ask(CCNET_POLL, 6), [0x02, 0x03, 0x06, 0x19, 0x82, 0x0F]);
    assert_eq!(printer.received(), DLE_EOT_1);
    assert_eq!(acceptor.received(), CCNET_POLL);
    assert!(printer.violations().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_the_test_is_seen_by_the_host() {
    let bench = Bench::new("change");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let mut host = Host::open(printer.path());
    printer.set(|printer| printer.paper = Paper::Out);
    assert_eq!(host.ask(DLE_EOT_1, 1), [0x1A]);
    host.0.write_all(&[0x1D, 0x61, 0xFF]).unwrap();
    printer.set(|printer| printer.paper = Paper::Ok);
    assert_eq!(host.read(4), [0x10, 0, 0, 0], "the buffered GS a, without being asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_is_kept_without_the_host() {
    let bench = Bench::new("deadline");
    let ups = Ups::start(&bench.0, "ups").unwrap();
    ups.set(|ups| ups.test_takes = Duration::from_millis(500));
    Host::open(ups.path()).ask(b"T\r", 0);
    wait_until("the test runs", || ups.state().test_running).await;
    wait_until("the test is over", || !ups.state().test_running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_faults_show_at_the_host() {
    let bench = Bench::new("faults");
    let acceptor = Acceptor::start(&bench.0, "acceptor").unwrap();
    let good = [0x02, 0x03, 0x06, 0x19, 0x82, 0x0F];
    let mut host = Host::open(acceptor.path());
    acceptor.line().set_fault(LineFault::Silent);
    host.ask_in_vain(CCNET_POLL);
    let mut with = |fault, expected| {
        acceptor.line().set_fault(fault);
        host.ask(CCNET_POLL, expected)
    };
    assert_eq!(with(LineFault::Echo, 6), CCNET_POLL);
    assert_eq!(with(LineFault::Garbled, 6), [0x02, 0x03, 0x06, 0x99, 0x82, 0x0F]);
    assert_eq!(with(LineFault::Truncated, 3), good[..3]);
    assert_eq!(with(LineFault::Slow(Duration::from_millis(100)), 6), good);
    assert_eq!(with(LineFault::Dripping(Duration::from_millis(20)), 6), good);
    assert_eq!(with(LineFault::None, 6), good);
    assert!(with(LineFault::Chatter, 100).len() >= 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_meets_the_next_question() {
    let bench = Bench::new("slow");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let mut host = Host::open(printer.path());
    printer.line().set_fault(LineFault::Slow(Duration::from_millis(500)));
    host.ask_in_vain(DLE_EOT_1);
    printer.set(|printer| printer.offline = true);
    assert_eq!(host.ask(DLE_EOT_1, 1), [0x12], "the answer of before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_power_a_device_hears_and_says_nothing() {
    let bench = Bench::new("power");
    let acceptor = Acceptor::start(&bench.0, "acceptor").unwrap();
    let mut host = Host::open(acceptor.path());
    acceptor.power_off();
    host.ask_in_vain(CCNET_POLL);
    acceptor.power_on();
    assert_eq!(host.ask(CCNET_POLL, 6), [0x02, 0x03, 0x06, 0x10, 0x43, 0x92]);
    wait_until("it is initialised", || acceptor.state().phase == Phase::Disabled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unplugging_ends_the_open_port_and_replugging_brings_the_path_back() {
    let bench = Bench::new("unplug");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let mut host = Host::open(printer.path());
    assert_eq!(host.ask(DLE_EOT_1, 1), [0x12]);
    printer.line().unplug();
    assert!(!printer.path().exists());
    wait_until("the terminal is gone", || host.0.write_all(DLE_EOT_1).is_err()).await;
    assert_eq!(host.0.write(&[0]).unwrap_err().raw_os_error(), Some(5), "EIO");
    assert_eq!(host.0.read(&mut [0; 8]).unwrap(), 0, "end of file");

    printer.line().replug().unwrap();
    assert_eq!(Host::open(printer.path()).ask(DLE_EOT_1, 1), [0x12]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_holds_the_port_while_no_host_has_it_open() {
    let bench = Bench::new("holder");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let terminal = std::fs::canonicalize(printer.path()).unwrap();
    let holders = || {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| *target == terminal)
            .count()
    };
    assert_eq!(holders(), 0);
    let host = Host::open(printer.path());
    wait_until("the host is seen", || printer.line().host_present()).await;
    assert_eq!(holders(), 1);
    drop(host);
    wait_until("the host is gone", || !printer.line().host_present()).await;
    wait_until("nobody is left", || holders() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_host_finds_no_left_over_bytes() {
    let bench = Bench::new("left-over");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    for round in 1..=20_u64 {
        let mut host = Host::open(printer.path());
        host.0.write_all(DLE_EOT_1).unwrap();
        wait_until("it is answered", || printer.line().received_total() == round * 3).await;
        drop(host);
        wait_until("the host is gone", || !printer.line().host_present()).await;
    }
    Host::open(printer.path()).ask_in_vain(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_host_leaves_no_claim_on_the_port() {
    let bench = Bench::new("claim");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let mut host = Host::open(printer.path());
    rustix::termios::ioctl_tiocexcl(&host.0).unwrap();
    assert_eq!(host.ask(DLE_EOT_1, 1), [0x12]);
    drop(host);
    // An ordinary user is refused while the claim stands; root would not notice.
    wait_until("the port can be opened", || {
        File::open(printer.path()).is_ok_and(|_| !printer.line().host_present())
    })
    .await;
    assert_eq!(Host::open(printer.path()).ask(DLE_EOT_1, 1), [0x12]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_come_and_go_quickly_are_all_served() {
    let bench = Bench::new("quick");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    for _ in 0..50 {
        assert_eq!(Host::open(printer.path()).ask(DLE_EOT_1, 1), [0x12]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_handle_takes_the_path_with_it() {
    let bench = Bench::new("last");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let path = printer.path().to_owned();
    let other = printer.clone();
    drop(printer);
    assert!(path.exists());
    drop(other);
    assert!(!path.exists());
}

#[test]
fn outside_a_runtime_a_device_says_so() {
    let bench = Bench::new("runtime");
    assert!(Printer::start(&bench.0, "printer").is_err());
}

#[tokio::test]
async fn garbage_does_not_stop_a_device() {
    let bench = Bench::new("garbage");
    let printer = Printer::start(&bench.0, "printer").unwrap();
    let ups = Ups::start(&bench.0, "ups").unwrap();
    let acceptor = Acceptor::start(&bench.0, "acceptor").unwrap();
    let mut noise = Noise::seeded("garbage");
    let now = tokio::time::Instant::now();
    let mut say = Replies::new();
    for _ in 0..20_000 {
        let bytes = noise.burst();
        printer.model().hear(now, &bytes, &mut say);
        ups.model().hear(now, &bytes, &mut say);
        acceptor.model().hear(now, &bytes, &mut say);
        say.clear();
    }
    assert!(printer.violations().len() <= 256);
}
