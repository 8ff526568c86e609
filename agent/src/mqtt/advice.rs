//! What a technician can do about a connection that failed, in one sentence: which file, and whose turn it is.
use std::io;

use kioskwatch_proto::KioskId;
use rumqttc::{
    TlsError,
    v5::{
        ConnectionError, StateError,
        mqttbytes::{
            self,
            v5::{ConnectReturnCode, DisconnectReasonCode},
        },
    },
};
use rustls::{AlertDescription, CertificateError, Error as RustlsError};

use crate::config;

/// So many connections in a row that were lost right after they were made are no bad line any more.
const LOST_IN_A_ROW: u32 = 3;

/// Why there is no connection, and what to do about it where that is known.
pub(super) fn explain(error: &ConnectionError, kiosk: &KioskId, config: &config::Mqtt) -> String {
    if let ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) = error
        && *reason_code == DisconnectReasonCode::SessionTakenOver
    {
        return format!("another connection took over the id {kiosk}; {}", another_agent(kiosk));
    }
    if let ConnectionError::ConnectionRefused(code)
    | ConnectionError::MqttState(StateError::ConnFail { reason: code }) = error
        && matches!(code, ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword)
    {
        return format!(
            "the broker refuses us ({code:?}); look at user name, password_file or certificate here, and at the \
             broker's access list"
        );
    }
    let Some(io) = io_error(error) else {
        return match error {
            ConnectionError::Tls(TlsError::TLS(error)) => advised(error, config),
            other => other.to_string(),
        };
    };
    if let Some(error) = io.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) {
        return advised(error, config);
    }
    match io.kind() {
        io::ErrorKind::UnexpectedEof if config.endpoint.tls => {
            "the broker hung up in the middle of TLS without a word; its log says why".to_owned()
        }
        io::ErrorKind::ConnectionRefused => {
            format!(
                "{io}; nothing listens there: is the broker running, are host and port of [mqtt] url right?"
            )
        }
        _ => error.to_string(),
    }
}

/// What is said besides, when connections do not last.
pub(super) fn does_not_last(in_a_row: u32, kiosk: &KioskId) -> Option<String> {
    (in_a_row >= LOST_IN_A_ROW).then(|| {
        let another = another_agent(kiosk);
        format!("{in_a_row} connections in a row were lost right after they were made: {another}")
    })
}

fn another_agent(kiosk: &KioskId) -> String {
    format!("another agent may be using this id; look for a second machine with [kiosk] id = \"{kiosk}\"")
}

/// The library wraps what the socket said in one of several layers.
fn io_error(error: &ConnectionError) -> Option<&io::Error> {
    match error {
        ConnectionError::Io(io)
        | ConnectionError::Tls(TlsError::Io(io))
        | ConnectionError::MqttState(
            StateError::Io(io) | StateError::Deserialization(mqttbytes::Error::Io(io)),
        ) => Some(io),
        _ => None,
    }
}

fn advised(error: &RustlsError, config: &config::Mqtt) -> String {
    let path = |file: &Option<std::path::PathBuf>| {
        file.as_ref().map_or_else(|| "(not set)".to_owned(), |path| path.display().to_string())
    };
    let (ca, cert) = (path(&config.tls.ca_file), path(&config.tls.cert_file));
    let host = &config.endpoint.host;
    let advice = match error {
        RustlsError::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA => {
                format!("the broker does not know who signed cert_file {cert}: bring a certificate of the authority it trusts")
            }
            AlertDescription::CertificateExpired => {
                format!("cert_file {cert} has expired for the broker: renew it, and compare both clocks")
            }
            AlertDescription::CertificateRevoked => {
                format!("cert_file {cert} was taken back: bring a new certificate and key")
            }
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => {
                format!("the broker does not accept cert_file {cert}: it must be a client's (clientAuth) and valid now; the broker's log says more")
            }
            AlertDescription::HandshakeFailure | AlertDescription::CertificateRequired
                if config.tls.cert_file.is_none() =>
            {
                "the broker asks for a certificate: set cert_file and key_file".to_owned()
            }
            AlertDescription::HandshakeFailure | AlertDescription::CertificateRequired => {
                format!("broker and agent found nothing in common: let the broker speak TLS 1.2 or 1.3, and look whether it accepts cert_file {cert}")
            }
            AlertDescription::ProtocolVersion => "let the broker speak TLS 1.2 or 1.3".to_owned(),
            _ => "the broker's log says more".to_owned(),
        },
        RustlsError::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => {
                format!("ca_file {ca} is not the authority that signed the broker's certificate: bring the right one")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the broker's certificate has expired: renew it at the broker, and look at this machine's clock".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the broker's certificate is not valid yet: look at this machine's clock".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the broker's certificate is not for {host}: write a name that stands in it into [mqtt] url, or renew it with this name")
            }
            _ => "the broker's certificate does not serve: renew it at the broker".to_owned(),
        },
        RustlsError::InvalidMessage(_) => {
            "what listens there does not speak TLS: is the port right, or should [mqtt] url begin with mqtt://?".to_owned()
        }
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}
