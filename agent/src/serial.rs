//! One task for each port: opens, reads, writes, and says what became of it.
//!
//! Knows: device files and their traps. Must not know: what the bytes mean, or when to try again; both are
//! the engine's. Nothing here ever waits for another port, and a write that blocks blocks only its own.
mod orders;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use kioskwatch_agent_core::{
    drivers::line::{LineSettings, Parity},
    input::PortTrouble,
};
use kioskwatch_proto::PeripheralName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _, SerialStream};

use self::orders::{Giver, Order, Taker, orders};
use crate::{port, proxy::ApplicationEnd};

/// One read. At 115,200 baud a chunk of this size arrives in 45 ms.
const CHUNK: usize = 512;
/// A device that takes no bytes for this long is as good as gone.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// One port as configured.
#[derive(Debug, Clone)]
pub struct PortSettings {
    pub peripheral: PeripheralName,
    pub path: PathBuf,
    pub line: LineSettings,
    /// Money or cards: a port whose holders cannot all be seen is not opened.
    pub guards_valuables: bool,
    /// Mode `proxy`: where the kiosk application finds its end.
    pub application_port: Option<PathBuf>,
}

/// What the engine hears of a port.
#[derive(Debug, Clone, PartialEq)]
pub enum PortEvent {
    Opened,
    Trouble(PortTrouble),
    Bytes(Vec<u8>),
}

/// The handle of one port's task, which ends when this is dropped.
#[derive(Debug)]
pub struct Port {
    orders: Giver,
}

impl Port {
    /// Starts the task; the port stays closed until asked.
    pub fn start<E: Send + 'static>(
        settings: PortSettings,
        events: mpsc::Sender<E>,
        wrap: fn(PeripheralName, PortEvent) -> E,
    ) -> Self {
        let (orders, taker) = orders();
        let task = Task { settings, orders: taker, events, wrap };
        tokio::spawn(task.run());
        Self { orders }
    }

    pub fn open(&self) {
        self.order(Order::Open);
    }

    pub fn close(&self) {
        self.order(Order::Close);
    }

    pub fn write(&self, bytes: Vec<u8>) {
        self.order(Order::Write(bytes));
    }

    fn order(&self, order: Order) {
        if !self.orders.give(order) {
            // A port this far behind is stuck; the driver's timeouts find that out.
            tracing::warn!("a port takes no more orders");
        }
    }
}

struct Task<E> {
    settings: PortSettings,
    orders: Taker,
    events: mpsc::Sender<E>,
    wrap: fn(PeripheralName, PortEvent) -> E,
}

impl<E: Send> Task<E> {
    async fn run(mut self) {
        while let Some(order) = self.orders.next().await {
            // Bytes for a closed port are nobody's: the engine hears of the closing soon.
            let Order::Open = order else { continue };
            match open(&self.settings).await {
                Ok(stream) => {
                    self.tell(PortEvent::Opened).await;
                    if let Some(trouble) = self.serve(stream).await {
                        self.tell(PortEvent::Trouble(trouble)).await;
                    }
                }
                Err(trouble) => self.tell(PortEvent::Trouble(trouble)).await,
            }
        }
    }

    async fn tell(&self, event: PortEvent) {
        // The receiver is gone only when the agent ends.
        drop(self.events.send((self.wrap)(self.settings.peripheral.clone(), event)).await);
    }

    /// Until it is closed (`None`) or something is wrong.
    async fn serve(&mut self, mut stream: SerialStream) -> Option<PortTrouble> {
        let application = match &self.settings.application_port {
            Some(link) => match ApplicationEnd::open(link) {
                Ok(end) => Some(end),
                Err(error) => {
                    tracing::error!(peripheral = %self.settings.peripheral, link = %link.display(), %error,
                        "no port for the kiosk application");
                    return Some(PortTrouble::Denied);
                }
            },
            None => None,
        };
        let mut chunk = [0; CHUNK];
        let mut from_application = [0; CHUNK];
        loop {
            tokio::select! {
                read = stream.read(&mut chunk) => match read {
                    // End of file on a serial line: the device is gone. Reading on would never wait again.
                    Ok(0) => return Some(self.lost("it was unplugged")),
                    Ok(count) => {
                        let bytes = &chunk[..count];
                        if let Some(end) = &application
                            && let Err(error) = end.write(bytes)
                        {
                            tracing::warn!(peripheral = %self.settings.peripheral, %error, count,
                                "the kiosk application does not read its port");
                        }
                        self.tell(PortEvent::Bytes(bytes.to_vec())).await;
                    }
                    Err(error) => return Some(self.lost(&error.to_string())),
                },
                order = self.orders.next() => match order {
                    None | Some(Order::Close) => return None,
                    Some(Order::Open) => self.tell(PortEvent::Opened).await,
                    Some(Order::Write(bytes)) => {
                        if let Some(trouble) = self.transmit(&mut stream, &bytes).await {
                            return Some(trouble);
                        }
                    }
                },
                read = read_application(application.as_ref(), &mut from_application) => match read {
                    Ok(count) => {
                        let bytes = from_application[..count].to_vec();
                        if let Some(trouble) = self.transmit(&mut stream, &bytes).await {
                            return Some(trouble);
                        }
                    }
                    Err(error) => return Some(self.lost(&error.to_string())),
                },
            }
        }
    }

    async fn transmit(&self, stream: &mut SerialStream, bytes: &[u8]) -> Option<PortTrouble> {
        match timeout(WRITE_LIMIT, stream.write_all(bytes)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(self.lost(&error.to_string())),
            Err(_) => {
                // Closing the port would wait for them, for up to half a minute, and hold up the whole agent.
                drop(stream.clear(ClearBuffer::Output));
                Some(self.lost("it takes no bytes"))
            }
        }
    }

    fn lost(&self, why: &str) -> PortTrouble {
        let PortSettings { peripheral, path, .. } = &self.settings;
        tracing::warn!(%peripheral, port = %path.display(), why, "the port is lost");
        if path.exists() { PortTrouble::Broken } else { PortTrouble::Missing }
    }
}

async fn read_application(end: Option<&ApplicationEnd>, chunk: &mut [u8]) -> std::io::Result<usize> {
    match end {
        Some(end) => end.read(chunk).await,
        None => std::future::pending().await,
    }
}

/// Opens the port if nobody holds it, sets the line, and throws away what came before.
pub async fn open(settings: &PortSettings) -> Result<SerialStream, PortTrouble> {
    let path = settings.path.clone();
    // Looking through /proc takes some milliseconds and may touch slow file systems.
    let look = tokio::task::spawn_blocking(move || port::look(&path)).await;
    let look = match look {
        Ok(Ok(look)) => look,
        Ok(Err(error)) => return Err(trouble_of(&settings.path, error.kind(), &error.to_string())),
        Err(_) => return Err(PortTrouble::Broken),
    };
    if let Some(holder) = look.holders.first() {
        return Err(PortTrouble::Busy { holder: Some(format!("{} (pid {})", holder.program, holder.pid)) });
    }
    if !look.complete && settings.guards_valuables {
        return Err(PortTrouble::Busy { holder: None });
    }
    let line = &settings.line;
    let builder = tokio_serial::new(look.device.to_string_lossy(), line.baud)
        .data_bits(match line.data_bits {
            5 => tokio_serial::DataBits::Five,
            6 => tokio_serial::DataBits::Six,
            7 => tokio_serial::DataBits::Seven,
            _ => tokio_serial::DataBits::Eight,
        })
        .parity(match line.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .stop_bits(if line.stop_bits == 2 {
            tokio_serial::StopBits::Two
        } else {
            tokio_serial::StopBits::One
        });
    let mut stream = builder.open_native_async().map_err(|error| {
        let kind = match error.kind() {
            tokio_serial::ErrorKind::Io(kind) => kind,
            _ => ErrorKind::Other,
        };
        tracing::debug!(peripheral = %settings.peripheral, %error, "the port was not opened");
        trouble_of(&settings.path, kind, &error.to_string())
    })?;
    // Best effort: a pseudo-terminal, and many an adapter, has no such wires.
    if let Some(level) = line.dtr {
        drop(stream.write_data_terminal_ready(level));
    }
    if let Some(level) = line.rts {
        drop(stream.write_request_to_send(level));
    }
    stream.clear(ClearBuffer::Input).map_err(|_| PortTrouble::Broken)?;
    Ok(stream)
}

/// What a refused open means. The kind alone would call a busy port a missing one: both refusals of the
/// library arrive as "no device", and only their texts tell them apart.
pub fn trouble_of(path: &Path, kind: ErrorKind, text: &str) -> PortTrouble {
    let text = text.to_ascii_lowercase();
    let has = |part: &str| text.contains(part);
    if has("busy") || has("exclusive lock") || kind == ErrorKind::ResourceBusy {
        return PortTrouble::Busy { holder: None };
    }
    if kind == ErrorKind::NotFound || has("no such file") || has("no such device") || !path.exists() {
        return PortTrouble::Missing;
    }
    if kind == ErrorKind::PermissionDenied
        || has("permission")
        // The path names something else than a serial line: a mistake of the installation.
        || kind == ErrorKind::InvalidInput
        || has("not a typewriter")
        || has("inappropriate ioctl")
    {
        return PortTrouble::Denied;
    }
    PortTrouble::Broken
}

#[cfg(test)]
mod tests;
