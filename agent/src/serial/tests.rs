//! A port on a pseudo-terminal, and what each refusal is called.
use std::{fs::File, io::Read as _, io::Write as _, os::fd::OwnedFd};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::*;

fn pty() -> (OwnedFd, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap();
    (master, PathBuf::from(path.to_str().unwrap()))
}

fn settings(path: PathBuf) -> PortSettings {
    PortSettings {
        peripheral: PeripheralName::new("printer").unwrap(),
        path,
        line: LineSettings::eight_n_one(9600),
        guards_valuables: false,
        application_port: None,
    }
}

fn start(settings: PortSettings) -> (Port, mpsc::Receiver<PortEvent>) {
    let (sender, events) = mpsc::channel(8);
    (Port::start(settings, sender, |_, event| event), events)
}

#[tokio::test]
async fn bytes_go_both_ways_and_an_unplug_is_told_once() {
    let (master, path) = pty();
    let (port, mut events) = start(settings(path));
    port.open();
    assert_eq!(events.recv().await, Some(PortEvent::Opened));
    let mut device = File::from(master);
    device.write_all(b"\x12").unwrap();
    assert_eq!(events.recv().await, Some(PortEvent::Bytes(vec![0x12])));
    port.write(vec![0x10, 0x04, 0x01]);
    let mut got = [0; 3];
    let (device, got) = tokio::task::spawn_blocking(move || {
        device.read_exact(&mut got).unwrap();
        (device, got)
    })
    .await
    .unwrap();
    assert_eq!(got, [0x10, 0x04, 0x01]);
    drop(device);
    assert!(matches!(events.recv().await, Some(PortEvent::Trouble(_))));
    port.open();
    assert_eq!(events.recv().await, Some(PortEvent::Trouble(PortTrouble::Missing)));
}

#[tokio::test]
async fn a_port_that_is_to_be_closed_is_closed_however_many_orders_wait() {
    let (master, path) = pty();
    let (port, mut events) = start(settings(path));
    port.open();
    assert_eq!(events.recv().await, Some(PortEvent::Opened));
    // Its task does not run meanwhile, as while a write blocks.
    (0..100).for_each(|_| port.write(vec![0]));
    port.close();
    let mut device = File::from(master);
    // A device hears that the line is closed as an error of the pseudo-terminal.
    let closed = tokio::task::spawn_blocking(move || std::io::copy(&mut device, &mut std::io::sink()));
    assert!(timeout(Duration::from_secs(60), closed).await.expect("the port is closed").unwrap().is_err());
}

#[tokio::test]
async fn a_held_port_is_busy_and_the_holder_is_named() {
    let (_master, path) = pty();
    let file = std::fs::OpenOptions::new().read(true).open(&path).unwrap();
    let mut child = std::process::Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
    let trouble = open(&settings(path)).await.unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(trouble, PortTrouble::Busy { holder: Some(format!("sleep (pid {})", child.id())) });
}

/// An open port that an application shares through a link, and what stands at its other end.
async fn proxied() -> (Port, mpsc::Receiver<PortEvent>, File, PathBuf) {
    let (master, path) = pty();
    let link = std::env::temp_dir().join(format!("kioskwatch-proxy-{}", uuid::Uuid::new_v4()));
    let settings = PortSettings { application_port: Some(link.clone()), ..settings(path) };
    let (port, mut events) = start(settings);
    port.open();
    assert_eq!(events.recv().await, Some(PortEvent::Opened));
    // The link appears right after the opening was told.
    while !link.exists() {
        tokio::task::yield_now().await;
    }
    (port, events, File::from(master), link)
}

#[tokio::test]
async fn a_proxy_passes_every_byte_unchanged_and_listens() {
    let (port, mut events, mut device, link) = proxied().await;
    let all: Vec<u8> = (0..=255).collect();
    let mut application = std::fs::OpenOptions::new().read(true).write(true).open(&link).unwrap();
    let sent = all.clone();
    let got = tokio::task::spawn_blocking(move || {
        device.write_all(&sent).unwrap();
        let mut got = vec![0; sent.len()];
        application.read_exact(&mut got).unwrap();
        application.write_all(&sent).unwrap();
        let mut back = vec![0; sent.len()];
        device.read_exact(&mut back).unwrap();
        assert_eq!(back, sent);
        got
    })
    .await
    .unwrap();
    assert_eq!(got, all);
    let mut heard = Vec::new();
    while heard.len() < all.len() {
        let Some(PortEvent::Bytes(bytes)) = events.recv().await else { panic!("only bytes were sent") };
        heard.extend(bytes);
    }
    assert_eq!(heard, all);
    port.close();
    drop(port);
    while link.exists() {
        tokio::task::yield_now().await;
    }
}

/// Bytes that wait for whoever reads this.
async fn until_waiting(file: &File, expected: u64) {
    let soon = async {
        while rustix::io::ioctl_fionread(file).unwrap() != expected {
            tokio::task::yield_now().await;
        }
    };
    let waiting = || rustix::io::ioctl_fionread(file).unwrap();
    let seen = timeout(Duration::from_secs(20), soon).await;
    assert!(seen.is_ok(), "{} bytes wait, not {expected}", waiting());
}

#[tokio::test]
async fn an_application_that_comes_back_reads_no_answer_that_was_not_for_it() {
    let (_port, _events, mut device, link) = proxied().await;
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&link).unwrap();
    // Somebody of ours looks on, to see what waits; the application itself comes and goes.
    let looks_on = open();
    for told_while_away in [false, true] {
        let application = open();
        if told_while_away {
            drop(application);
            until_waiting(&looks_on, 0).await;
            device.write_all(b"old").unwrap();
            until_waiting(&looks_on, 3).await;
        } else {
            device.write_all(b"old").unwrap();
            until_waiting(&looks_on, 3).await;
            drop(application);
        }
        let mut again = open();
        until_waiting(&looks_on, 0).await;
        device.write_all(b"new").unwrap();
        until_waiting(&looks_on, 3).await;
        let mut answer = [0; 3];
        again.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"new");
    }
}

#[test]
fn refusals_are_told_apart_by_text_where_the_kind_lies() {
    let here = Path::new("/dev/null");
    let busy = PortTrouble::Busy { holder: None };
    let table = [
        (ErrorKind::Other, "Device or resource busy", busy.clone()),
        (ErrorKind::Other, "Unable to acquire exclusive lock on serial port", busy),
        (ErrorKind::NotFound, "No such file or directory", PortTrouble::Missing),
        (ErrorKind::Other, "No such device or address", PortTrouble::Missing),
        (ErrorKind::PermissionDenied, "Permission denied", PortTrouble::Denied),
        (ErrorKind::Other, "Not a typewriter", PortTrouble::Denied),
        (ErrorKind::Other, "Input/output error", PortTrouble::Broken),
    ];
    for (kind, text, expected) in table {
        assert_eq!(trouble_of(here, kind, text), expected, "{text}");
    }
    assert_eq!(trouble_of(Path::new("/dev/gone"), ErrorKind::Other, "?"), PortTrouble::Missing);
}
