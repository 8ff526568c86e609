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
use crate::{certificate, config};

/// A file of `[mqtt]`: its key, and what belongs into it.
#[derive(Debug, Clone, Copy)]
pub struct File {
    key: &'static str,
    what: &'static str,
}

const AUTHORITY: File =
    File { key: "ca_file", what: "the certificate of the authority that signed the broker's" };
const CERTIFICATE: File = File { key: "cert_file", what: "this kiosk's own certificate" };
const KEY: File = File { key: "key_file", what: "the key of this kiosk's certificate" };
const PASSWORD: File = File { key: "password_file", what: "the broker's password for this kiosk" };

/// Why a connection cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The cause is part of the sentence.
    #[error("[mqtt] {}: {path} cannot be read ({error}); the path of {} is right", .file.key, .file.what)]
    Read { file: File, path: String, error: std::io::Error },
    #[error("[mqtt] {}: {path} can be read by everybody: run `chmod o-rwx {path}`", .file.key)]
    Open { file: File, path: String },
    #[error("[mqtt] {}: {path} is of no use: {why}; the PEM file of {} is right", .file.key, .file.what)]
    Content { file: File, path: String, why: String },
    #[error("[mqtt] key_file: {path} is not the key of the certificate in cert_file; bring both files anew")]
    OtherKey { path: String },
    /// Two agents with one name would push each other off the broker for ever.
    #[error(
        "[mqtt] cert_file: {path} is the certificate of {name:?} (its common name), but [kiosk] id is \
         \"{kiosk}\"; bring the certificate and key of {kiosk}, or correct the id"
    )]
    OtherKiosk { path: String, name: String, kiosk: KioskId },
}

/// Reads every file the connection needs, as a check before the start.
pub fn check_files(kiosk: &KioskId, config: &config::Mqtt) -> Result<(), OptionsError> {
    credentials(config)?;
    transport(kiosk, config).map(|_| ())
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
        .set_transport(transport(kiosk, config)?)
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
    let bytes = read_secret(PASSWORD, path)?;
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
}

fn transport(kiosk: &KioskId, config: &config::Mqtt) -> Result<Transport, OptionsError> {
    let tls = &config.tls;
    let (true, Some(path)) = (config.endpoint.tls, &tls.ca_file) else { return Ok(Transport::tcp()) };
    let ca = read(AUTHORITY, path)?;
    if !certificate::holds_certificate(&ca) {
        let why = "it holds no certificate in PEM form".to_owned();
        return Err(OptionsError::Content { file: AUTHORITY, path: shown(path), why });
    }
    let client_auth = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => Some(identity(kiosk, cert, key)?),
        _ => None,
    };
    Ok(Transport::tls_with_config(TlsConfiguration::Simple { ca, alpn: None, client_auth }))
}

/// Certificate and key, when they belong together and to this kiosk.
fn identity(kiosk: &KioskId, cert: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), OptionsError> {
    let certificate = read(CERTIFICATE, cert)?;
    let bad = |file, path| move |why| OptionsError::Content { file, path: shown(path), why };
    let name = certificate::common_name(&certificate).map_err(bad(CERTIFICATE, cert))?;
    if name != kiosk.as_str() {
        return Err(OptionsError::OtherKiosk { path: shown(cert), name, kiosk: kiosk.clone() });
    }
    let secret = read_secret(KEY, key)?;
    if !certificate::key_belongs(&certificate, &secret).map_err(bad(KEY, key))? {
        return Err(OptionsError::OtherKey { path: shown(key) });
    }
    Ok((certificate, secret))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn read(file: File, path: &Path) -> Result<Vec<u8>, OptionsError> {
    fs::read(path).map_err(|error| OptionsError::Read { file, path: shown(path), error })
}

fn read_secret(file: File, path: &Path) -> Result<Vec<u8>, OptionsError> {
    let bytes = read(file, path)?;
    let mode = fs::metadata(path)
        .map_err(|error| OptionsError::Read { file, path: shown(path), error })?
        .permissions()
        .mode();
    if mode & 0o007 != 0 {
        return Err(OptionsError::Open { file, path: shown(path) });
    }
    Ok(bytes)
}
