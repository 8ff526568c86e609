//! What is refused before a connection is tried.
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::{Endpoint, Tls};

fn config(password_file: std::path::PathBuf) -> crate::config::Mqtt {
    crate::config::Mqtt {
        endpoint: Endpoint { host: "127.0.0.1".into(), port: 1, tls: false },
        tls: Tls::default(),
        password_file: Some(password_file),
        username: None,
        keep_alive_s: 25,
        connect_timeout_s: 1,
        reconnect_max_ms: 100,
        stalled_after_ms: 1000,
    }
}

#[test]
fn a_secret_everybody_can_read_is_refused_with_the_cure() {
    let path = std::env::temp_dir().join(format!("kioskwatch-password-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, "secret\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = check_files(&config(path.clone())).unwrap_err().to_string();
    assert!(error.contains("chmod"), "{error}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    check_files(&config(path.clone())).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(check_files(&config(path)).unwrap_err().to_string().contains("reading the password"));
}

#[tokio::test]
async fn without_a_connection_nothing_is_queued_and_goodbye_does_not_wait() {
    let (events, _receiver) = mpsc::channel(4);
    let kiosk = KioskId::new("K-1").unwrap();
    let mut config = config("/unused".into());
    config.password_file = None;
    let will = |session| Presence {
        state: kioskwatch_proto::presence::PresenceState::Offline,
        session,
        boot: kioskwatch_proto::BootId(uuid::Uuid::nil()),
        epoch: kioskwatch_proto::Epoch(uuid::Uuid::nil()),
        at: kioskwatch_proto::Timestamp(0),
        reason: None,
    };
    let mqtt = Mqtt::start(Setup { kiosk, config, will: Box::new(will), events, wrap: |event| event });
    assert_eq!(mqtt.publish(Channel::Heartbeat, vec![]), Err(NotSent::NotConnected));
    assert_eq!(
        mqtt.publish(Channel::Journal, vec![0; MAX_PAYLOAD_BYTES + 1]),
        Err(NotSent::TooLarge(MAX_PAYLOAD_BYTES + 1))
    );
    mqtt.goodbye(Vec::new()).await;
}
