//! Tells systemd that the service is up (`Type=notify`).
use std::os::unix::net::UnixDatagram;

/// Without systemd there is nobody to tell, and nothing happens.
pub(crate) fn notify_ready() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"READY=1", &path));
    if let Err(error) = sent {
        tracing::warn!(%error, "systemd was not told that the server is ready");
    }
}
