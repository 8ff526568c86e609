//! How a connection is asked for: limits, will, credentials, certificates.
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use kioskwatch_proto::{
    KioskId,
    limits::MAX_PACKET_BYTES,
    presence::Presence,
    topic::{Channel, Topic},
};
use rumqttc::{
    NetworkOptions, TlsConfiguration, Transport,
    v5::{
        MqttOptions,
        mqttbytes::v5::{ConnectProperties, LastWill},
    },
};

use super::{WINDOW, qos};
use crate::config;

/// Why a connection cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("reading {what} {path}")]
    Read { what: &'static str, path: String, source: std::io::Error },
    #[error("{what} {path} can be read by everybody: run `chmod o-rwx {path}`")]
    Open { what: &'static str, path: String },
}

/// Reads every file the connection needs, as a check before the start.
pub fn check_files(config: &config::Mqtt) -> Result<(), OptionsError> {
    credentials(config)?;
    transport(config).map(|_| ())
}

/// Files are read for every connection: a renewed certificate needs no restart.
pub(super) fn options(
    kiosk: &KioskId,
    config: &config::Mqtt,
    will: &Presence,
) -> Result<MqttOptions, OptionsError> {
    let endpoint = &config.endpoint;
    let mut options = MqttOptions::new(kiosk.as_str(), &endpoint.host, endpoint.port);
    let mut properties = ConnectProperties::new();
    properties.max_packet_size = u32::try_from(MAX_PACKET_BYTES).ok();
    properties.receive_maximum = Some(WINDOW);
    properties.session_expiry_interval = Some(0);
    let payload = serde_json::to_vec(will).expect("a presence has text keys and no floats");
    let topic = Topic::new(kiosk.clone(), Channel::Presence).to_string();
    let mut network = NetworkOptions::new();
    // Small messages that want an answer: waiting to fill a packet only delays them.
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_connect_properties(properties)
        .set_clean_start(true)
        .set_keep_alive(std::time::Duration::from_secs(config.keep_alive_s.into()))
        .set_connection_timeout(config.connect_timeout_s.into())
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_transport(transport(config)?)
        .set_last_will(LastWill::new(topic, payload, qos(Channel::Presence), true, None));
    if let Some(password) = credentials(config)? {
        let name = config.username.as_deref().unwrap_or(kiosk.as_str());
        options.set_credentials(name, password);
    }
    Ok(options)
}

fn credentials(config: &config::Mqtt) -> Result<Option<String>, OptionsError> {
    let Some(path) = &config.password_file else {
        return Ok(config.username.is_some().then(String::new));
    };
    let bytes = read_secret("the password", path)?;
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
}

fn transport(config: &config::Mqtt) -> Result<Transport, OptionsError> {
    let tls = &config.tls;
    let (true, Some(ca)) = (config.endpoint.tls, &tls.ca_file) else { return Ok(Transport::tcp()) };
    let ca = read("the authority's certificate", ca)?;
    let client_auth = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => {
            Some((read("the kiosk's certificate", cert)?, read_secret("the kiosk's key", key)?))
        }
        _ => None,
    };
    Ok(Transport::tls_with_config(TlsConfiguration::Simple { ca, alpn: None, client_auth }))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, OptionsError> {
    fs::read(path).map_err(|source| OptionsError::Read { what, path: path.display().to_string(), source })
}

fn read_secret(what: &'static str, path: &Path) -> Result<Vec<u8>, OptionsError> {
    let bytes = read(what, path)?;
    let shown = path.display().to_string();
    let mode = fs::metadata(path)
        .map_err(|source| OptionsError::Read { what, path: shown.clone(), source })?
        .permissions()
        .mode();
    if mode & 0o007 != 0 {
        return Err(OptionsError::Open { what, path: shown });
    }
    Ok(bytes)
}
