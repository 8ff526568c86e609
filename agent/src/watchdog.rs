//! Telling systemd that the loop is alive: a few datagrams to `$NOTIFY_SOCKET`, nothing when there is none.
use std::{
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// The service manager's ear, if there is one.
#[derive(Debug)]
pub struct Notifier {
    target: Option<(UnixDatagram, SocketAddr)>,
    interval: Option<Duration>,
}

impl Notifier {
    /// From `$NOTIFY_SOCKET` and `$WATCHDOG_USEC`.
    pub fn from_process() -> Self {
        Self::new(std::env::var_os("NOTIFY_SOCKET"), std::env::var_os("WATCHDOG_USEC"))
    }

    fn new(socket: Option<OsString>, watchdog_usec: Option<OsString>) -> Self {
        let target = socket.and_then(|name| match connect(&name) {
            Ok(target) => Some(target),
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told that the agent lives");
                None
            }
        });
        let usec = watchdog_usec.and_then(|text| text.to_str()?.parse().ok()).filter(|usec| *usec > 0);
        // Half the allowed time, so that one late turn of the loop is no reason to be killed.
        Self { target, interval: usec.map(|usec: u64| Duration::from_micros(usec / 2)) }
    }

    /// How often [`Notifier::alive`] is due.
    pub fn interval(&self) -> Option<Duration> {
        self.target.as_ref().and(self.interval)
    }

    pub fn ready(&self) {
        self.send("READY=1\n");
    }

    pub fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}\n", text.replace('\n', " ")));
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.target
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

fn connect(name: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A full buffer of the manager must not stop the loop.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_ready_and_alive() {
        let path = std::env::temp_dir().join(format!("kioskwatch-notify-{}", uuid::Uuid::new_v4()));
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.clone().into()), Some("10000000".into()));
        assert_eq!(notifier.interval(), Some(Duration::from_secs(5)));
        notifier.ready();
        notifier.alive();
        let mut buffer = [0; 64];
        let count = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"READY=1\n");
        let count = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"WATCHDOG=1\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let notifier = Notifier::new(None, Some("10000000".into()));
        notifier.ready();
        assert_eq!(notifier.interval(), None);
    }
}
