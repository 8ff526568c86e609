//! One MQTT connection of the generator.
use std::{net::SocketAddr, time::Duration};

use kioskwatch_proto::limits::MAX_PACKET_BYTES;
use rumqttc::{
    NetworkOptions,
    v5::{
        AsyncClient, Event, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Packet, Publish},
        },
    },
};
use tokio::{sync::oneshot, task::JoinHandle};

const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Messages that may wait in front of the broker.
const QUEUE: usize = 4_096;
/// Sent and not yet acknowledged.
const MAX_INFLIGHT: u16 = 1_000;
/// Before a lost connection is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Kept up until dropped.
pub struct Line {
    pub client: AsyncClient,
    task: JoinHandle<()>,
}

impl Line {
    /// Connects, subscribes if there is something to hear, and returns when the broker has agreed.
    pub async fn open(
        name: String,
        broker: SocketAddr,
        filter: Option<String>,
        mut heard: impl FnMut(&Publish) + Send + 'static,
    ) -> Result<Self, String> {
        let mut options = MqttOptions::new(&name, broker.ip().to_string(), broker.port());
        let mut network = NetworkOptions::new();
        // As the agent does.
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_start(true);
        options.set_outgoing_inflight_upper_limit(MAX_INFLIGHT);
        options.set_max_packet_size(u32::try_from(MAX_PACKET_BYTES).ok());
        let (client, mut events) = AsyncClient::new(options, QUEUE);
        let subscriber = client.clone();
        let (ready, is_ready) = oneshot::channel();
        let shown = name.clone();
        let task = tokio::spawn(async move {
            let mut ready = Some(ready);
            loop {
                let up = match events.poll().await {
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        heard(&publish);
                        false
                    }
                    Ok(Event::Incoming(Packet::ConnAck(_))) => match &filter {
                        // QoS 0: what the subscriber is too slow for is lost, and not queued in the broker.
                        Some(filter) => {
                            let _ = subscriber.try_subscribe(filter.clone(), QoS::AtMostOnce);
                            false
                        }
                        None => true,
                    },
                    Ok(Event::Incoming(Packet::SubAck(_))) => true,
                    Ok(_) => false,
                    Err(error) => {
                        tracing::warn!(%error, connection = shown, "a connection of the generator was lost");
                        tokio::time::sleep(PAUSE).await;
                        false
                    }
                };
                if up && let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
            }
        });
        is_ready.await.map_err(|_| format!("the connection {name} was never made"))?;
        Ok(Self { client, task })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}
