//! The embedded MQTT broker: one thin module around one pinned crate, for demos and fleets of up to a few
//! thousand kiosks. It keeps nothing on disk: correctness rests on the journal's own acknowledgements.
use std::{net::SocketAddr, time::Duration};

use kioskwatch_proto::limits::MAX_PACKET_BYTES;
use mqtt5::broker::{
    BrokerConfig, MqttBroker,
    config::{StorageBackend, StorageConfig},
};
use tokio::task::JoinHandle;

/// Connections: kiosks, servers, people who look.
const MAX_CLIENTS: usize = 5_000;
/// Messages that wait for one slow client. Beyond it the oldest go: agents send again.
const MAX_QUEUED_MESSAGES: usize = 10_000;
const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("starting the embedded broker on {listen}: {reason}")]
    Start { listen: SocketAddr, reason: String },
}

/// A running broker; stops when dropped.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Broker {
    /// Listens before it returns, so that whoever is told the address can connect.
    pub async fn start(listen: SocketAddr) -> Result<Self, BrokerError> {
        let error = |reason: String| BrokerError::Start { listen, reason };
        let storage = StorageConfig {
            backend: StorageBackend::Memory,
            enable_persistence: false,
            max_queued_messages_per_client: MAX_QUEUED_MESSAGES,
            max_queued_bytes_per_client: MAX_QUEUED_BYTES,
            ..StorageConfig::default()
        };
        let mut config = BrokerConfig::new()
            .with_bind_addresses(vec![listen])
            .with_max_clients(MAX_CLIENTS)
            .with_max_packet_size(MAX_PACKET_BYTES)
            .with_session_expiry(Duration::ZERO)
            .with_storage(storage)
            .with_sys_topics_enabled(false);
        config.auth_config.allow_anonymous = true;
        let mut broker = MqttBroker::with_config(config).await.map_err(|e| error(e.to_string()))?;
        let address = broker.local_addr().ok_or_else(|| error("no local address".to_owned()))?;
        let task = tokio::spawn(async move {
            if let Err(error) = broker.run().await {
                tracing::error!(%error, "the embedded broker ended");
            }
        });
        Ok(Self { address, task })
    }

    /// Ends when the broker does: it is to run as long as the server.
    pub async fn ended(&mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.task).await
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
