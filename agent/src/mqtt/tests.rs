//! What is refused before a connection is tried.
use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::{Endpoint, Tls};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

fn kiosk(id: &str) -> KioskId {
    KioskId::new(id).unwrap()
}

fn config(password_file: PathBuf) -> crate::config::Mqtt {
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
    let error = check_files(&kiosk("K-1"), &config(path.clone())).unwrap_err().to_string();
    assert!(error.contains("chmod"), "{error}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    check_files(&kiosk("K-1"), &config(path.clone())).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(
        check_files(&kiosk("K-1"), &config(path)).unwrap_err().to_string().contains("[mqtt] password_file")
    );
}

/// Certificates of K-0001 and K-0002, made by the script that ships with the product.
struct Certificates(PathBuf);

impl Certificates {
    fn make() -> Self {
        let dir = std::env::temp_dir().join(format!("kioskwatch-certificates-{}", uuid::Uuid::new_v4()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosquitto/certificates");
        for arguments in [&["init"][..], &["kiosk", "K-0001", "K-0002"]] {
            let done = Command::new(&script).arg(&dir).args(arguments).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn config(&self, ca: &str, cert: &str, key: &str) -> crate::config::Mqtt {
        let mut config = config("/unused".into());
        config.password_file = None;
        config.endpoint.tls = true;
        let file = |name| Some(self.path(name));
        config.tls = Tls { ca_file: file(ca), cert_file: file(cert), key_file: file(key) };
        config
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_certificate_of_another_kiosk_is_refused_with_file_name_and_id() {
    let made = Certificates::make();
    let copied = made.config("server-ca.pem", "kiosks/K-0001.pem", "kiosks/K-0001.key");
    check_files(&kiosk("K-0001"), &copied).unwrap();
    let error = check_files(&kiosk("K-0002"), &copied).unwrap_err().to_string();
    let file = made.path("kiosks/K-0001.pem").display().to_string();
    for part in ["[mqtt] cert_file", &file, "\"K-0001\"", "[kiosk] id", "\"K-0002\"", "bring the certificate"]
    {
        assert!(error.contains(part), "{error}\n  lacks: {part}");
    }
}

#[test]
fn each_file_that_cannot_serve_is_named_with_its_key_and_what_belongs_there() {
    let made = Certificates::make();
    std::fs::write(made.path("empty"), "").unwrap();
    std::fs::set_permissions(made.path("empty"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let (ca, cert, key) = ("server-ca.pem", "kiosks/K-0001.pem", "kiosks/K-0001.key");
    let table = [
        (["nowhere", cert, key], "ca_file", "No such file"),
        ([ca, "nowhere", key], "cert_file", "No such file"),
        ([ca, cert, "nowhere"], "key_file", "No such file"),
        (["empty", cert, key], "ca_file", "no certificate"),
        ([ca, "empty", key], "cert_file", "no certificate"),
        ([ca, cert, "empty"], "key_file", "no private key"),
        ([ca, cert, "kiosks/K-0002.key"], "key_file", "not the key of the certificate"),
    ];
    for (files, key, what) in table {
        let [ca, cert, private] = files;
        let error = check_files(&kiosk("K-0001"), &made.config(ca, cert, private)).unwrap_err().to_string();
        let wrong = files.into_iter().find(|name| error.contains(&made.path(name).display().to_string()));
        assert!(error.starts_with(&format!("[mqtt] {key}: ")), "{files:?}: {error}");
        assert!(error.contains(what) && wrong.is_some(), "{files:?}: {error}");
    }
}

fn will(session: SessionId) -> Presence {
    Presence {
        state: kioskwatch_proto::presence::PresenceState::Offline,
        session,
        boot: kioskwatch_proto::BootId(uuid::Uuid::nil()),
        epoch: kioskwatch_proto::Epoch(uuid::Uuid::nil()),
        at: kioskwatch_proto::Timestamp(0),
        reason: None,
    }
}

/// The first log line of an agent of K-0001 with all of these words.
async fn says(config: crate::config::Mqtt, words: &[&str]) -> String {
    let (_guard, mut lines) = crate::heard_log::heard_log(tracing::Level::INFO);
    let (events, mut heard) = mpsc::channel(4);
    let kiosk = kiosk("K-0001");
    let _mqtt = Mqtt::start(Setup { kiosk, config, will: Box::new(will), events, wrap: |event| event });
    let mut all = String::new();
    let found = async {
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) if words.iter().all(|word| line.contains(word)) => return line,
                    Some(line) => all.push_str(&line),
                    None => return String::new(),
                },
                _ = heard.recv() => {}
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("no line with {words:?} in\n{all}"))
}

/// A broker that accepts everybody and soon hangs up, as one does that hears the same client id again.
async fn hangs_up() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let topic = Topic::new(kiosk("K-0001"), Channel::Ack).to_string();
    let length = u8::try_from(topic.len()).unwrap();
    // A message with QoS 1, so that its acknowledgement tells that all before it was heard.
    let message = [&[0x32, length + 7, 0, length], topic.as_bytes(), &[0, 1, 0], b"{}"].concat();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            // CONNECT and CONNACK; SUBSCRIBE, its packet id behind a length below 128, and SUBACK for two.
            assert!(socket.read(&mut buffer).await.unwrap() > 0);
            socket.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
            assert!(socket.read(&mut buffer).await.unwrap() > 0);
            socket.write_all(&[0x90, 5, buffer[2], buffer[3], 0, 1, 1]).await.unwrap();
            socket.write_all(&message).await.unwrap();
            assert!(socket.read(&mut buffer).await.unwrap() > 0);
        }
    });
    port
}

#[tokio::test]
async fn connections_lost_again_and_again_hint_at_another_agent_with_this_id() {
    let mut config = config("/unused".into());
    config.password_file = None;
    config.endpoint.port = hangs_up().await;
    let line = says(config, &["in a row"]).await;
    for part in ["3 connections in a row", "another agent may be using this id", "K-0001", "mqtt://127.0.0.1"]
    {
        assert!(line.contains(part), "{line}\n  lacks: {part}");
    }
}

/// A TLS server with the broker's certificate that lets in only whom `clients` has signed.
fn tls_server(made: &Certificates, clients: &str) -> u16 {
    use rustls::{
        RootCertStore, ServerConfig, ServerConnection,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    };
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(made.path(clients)).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(roots.into()).build().unwrap();
    let own = CertificateDer::from_pem_file(made.path("broker.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(made.path("broker.key")).unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(verifier);
    let config = Arc::new(config.with_single_cert(vec![own], key).unwrap());
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            while tls.is_handshaking() && tls.complete_io(&mut socket).is_ok() {}
            // What the client wrote must be read, or closing resets the line before it has read the alert.
            drop(std::io::copy(&mut socket, &mut std::io::sink()));
        }
    });
    port
}

#[tokio::test]
async fn a_refused_certificate_is_told_with_broker_file_and_what_to_do() {
    let made = Certificates::make();
    let mut config = made.config("server-ca.pem", "kiosks/K-0001.pem", "kiosks/K-0001.key");
    config.endpoint.host = "localhost".into();
    config.endpoint.port = tls_server(&made, "server-ca.pem");
    let url = config.endpoint.to_string();
    let cert = made.path("kiosks/K-0001.pem").display().to_string();
    says(config.clone(), &["UnknownCA", &url, &cert, "of the authority it trusts"]).await;

    // The other way round: it is the broker that cannot be trusted.
    config.tls.ca_file = Some(made.path("kiosk-ca.pem"));
    let ca = made.path("kiosk-ca.pem").display().to_string();
    says(config.clone(), &["UnknownIssuer", &url, &ca, "is not the authority that signed the broker's"])
        .await;
    config.tls.ca_file = Some(made.path("server-ca.pem"));
    config.endpoint.host = "127.0.0.2".into();
    says(config, &["not for 127.0.0.2", "[mqtt] url"]).await;
}

#[tokio::test]
async fn without_a_connection_nothing_is_queued_and_goodbye_does_not_wait() {
    let (events, _receiver) = mpsc::channel(4);
    let kiosk = kiosk("K-1");
    let mut config = config("/unused".into());
    config.password_file = None;
    let mqtt = Mqtt::start(Setup { kiosk, config, will: Box::new(will), events, wrap: |event| event });
    assert_eq!(mqtt.publish(Channel::Heartbeat, vec![]), Err(NotSent::NotConnected));
    assert_eq!(
        mqtt.publish(Channel::Journal, vec![0; MAX_PAYLOAD_BYTES + 1]),
        Err(NotSent::TooLarge(MAX_PAYLOAD_BYTES + 1))
    );
    mqtt.goodbye(Vec::new()).await;
}
