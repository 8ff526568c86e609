//! An MQTT client that says whatever a test wants, true or not, and remembers what it heard.
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::wait::{NeverCame, wait_for};

/// Larger than anything a server takes, so that too much can be tried.
const MAX_PACKET: u32 = 1024 * 1024;

/// A connected client; gone when dropped, without a goodbye.
#[derive(Debug)]
pub struct Client {
    client: AsyncClient,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    confirmed: watch::Receiver<u64>,
    sent: u64,
    task: JoinHandle<()>,
}

impl Client {
    /// Connects and listens to `filters`.
    pub async fn connect(broker: SocketAddr, id: &str, filters: &[String]) -> Result<Self, NeverCame> {
        let mut options = MqttOptions::new(id, broker.ip().to_string(), broker.port());
        options.set_keep_alive(Duration::from_secs(30));
        options.set_clean_start(true);
        options.set_max_packet_size(Some(MAX_PACKET));
        let (client, mut events) = AsyncClient::new(options, 256);
        let heard: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (confirm, confirmed) = watch::channel(0);
        let (listening, mut is_listening) = watch::channel(filters.is_empty());
        let (ears, asker, filters) = (Arc::clone(&heard), client.clone(), filters.to_vec());
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for filter in &filters {
                            let _ = asker.try_subscribe(filter, QoS::AtLeastOnce);
                        }
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        listening.send_replace(true);
                    }
                    Ok(Event::Incoming(Packet::PubAck(_))) => confirm.send_modify(|count| *count += 1),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                        let payload = serde_json::from_slice(&publish.payload).unwrap_or(Value::Null);
                        ears.lock().unwrap_or_else(PoisonError::into_inner).push((topic, payload));
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            }
        });
        let _ = is_listening.wait_for(|yes| *yes).await;
        Ok(Self { client, heard, confirmed, sent: 0, task })
    }

    /// Publishes with QoS 1 and waits until the broker has it.
    pub async fn say(
        &mut self,
        topic: &str,
        payload: impl Into<Vec<u8>>,
        retained: bool,
    ) -> Result<(), NeverCame> {
        self.sent += 1;
        let wanted = self.sent;
        let published = self.client.publish(topic, QoS::AtLeastOnce, retained, payload.into()).await;
        let confirmed = self.confirmed.clone();
        wait_for("the broker to take a message", Duration::from_secs(20), || async {
            published.as_ref().map_err(ToString::to_string)?;
            let count = *confirmed.borrow();
            if count >= wanted { Ok(()) } else { Err(format!("{topic}: {count} of {wanted}")) }
        })
        .await
    }

    /// Everything heard so far on topics that end like this.
    pub fn heard(&self, ending: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .iter()
            .filter(|(topic, _)| topic.ends_with(ending))
            .map(|(_, payload)| payload.clone())
            .collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
