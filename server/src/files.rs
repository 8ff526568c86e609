//! The files that the configuration names, looked at before anything starts: what is missing is told at once, by its
//! key and with what belongs there, and not by a connection that never comes up.
use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::Access;
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::{
    app::seed::{Seed, SeedError},
    config::Config,
    signing::{self, SigningKeyError},
};

/// A file that a key names.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// As it is written: section and key.
    pub key: &'static str,
    /// What belongs into it.
    pub what: &'static str,
}

pub(crate) const FAULTS: Named = Named { key: "[faults] files", what: "a catalogue of faults" };
pub(crate) const CALENDARS: Named = Named { key: "[calendars] files", what: "a dated calendar" };
const PASSWORD: Named =
    Named { key: "[mqtt] password_file", what: "the file with the broker's password for this server" };
const AUTHORITY: Named = Named {
    key: "[mqtt] ca_file",
    what: "the PEM file with the certificate of the authority that signed the broker's",
};
const CERTIFICATE: Named =
    Named { key: "[mqtt] cert_file", what: "the PEM file with this server's own certificate" };
const KEY: Named =
    Named { key: "[mqtt] key_file", what: "the PEM file with the key of this server's certificate" };

/// Why a server would not come up, or never reach its broker.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The cause is part of the sentence.
    #[error("{}: {path} cannot be read ({error}); the path of {} is right", .named.key, .named.what)]
    Read { named: Named, path: PathBuf, error: io::Error },
    #[error("{}: {path} is of no use: {why}; the path of {} is right", .named.key, .named.what)]
    Content { named: Named, path: PathBuf, why: String },
    #[error("[mqtt] key_file: {path} is not the key of the certificate in cert_file; bring both files anew")]
    OtherKey { path: PathBuf },
    #[error(
        "[storage] data_dir: {path} is of no use: {why}; a directory that the server can write to is right"
    )]
    DataDir { path: PathBuf, why: String },
    #[error("[fleet] seed_file: {0}")]
    Seed(#[from] SeedError),
    #[error("[commands] signing_key_file: {0}")]
    SigningKey(#[from] SigningKeyError),
}

/// Reads every file that a start reads, and makes none. Catalogues and calendars are read by whoever needs them:
/// [`crate::run::policy`] and [`crate::run::calendar`].
///
/// Gives every one that is missing, unreadable or of no use.
pub fn check(config: &Config) -> Vec<FileError> {
    let seed = || config.fleet.seed_file.as_ref().map_or(Ok(()), |path| Seed::read(path).map(|_| ()));
    // Without one a start makes it.
    let key = Some(config.signing_key_file()).filter(|key| key.exists());
    let key = || key.map_or(Ok(()), |key| signing::read(&key, &config.commands.key_id).map(|_| ()));
    let checks = [
        data_dir(&config.storage.data_dir),
        broker(config),
        seed().map_err(FileError::from),
        key().map_err(FileError::from),
    ];
    checks.into_iter().filter_map(Result::err).collect()
}

/// A start makes what is missing of its way; whether it may is asked of what is there of it.
fn data_dir(dir: &Path) -> Result<(), FileError> {
    let there = dir.ancestors().find(|part| part.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let refused = |why: String| {
        let path = dir.to_owned();
        Err(FileError::DataDir { path, why })
    };
    if !there.is_dir() {
        return refused(format!("{} is no directory", there.display()));
    }
    match rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(error) if there == dir => refused(format!("this user cannot write there ({error})")),
        Err(error) => {
            let there = there.display();
            refused(format!("it does not exist, and this user can make nothing in {there} ({error})"))
        }
    }
}

/// What a connection to the broker needs, as `[mqtt]` is. A url that is wrong was refused with the configuration.
fn broker(config: &Config) -> Result<(), FileError> {
    let Ok(address) = config.mqtt.address() else { return Ok(()) };
    if let (Some(_), Some(path)) = (&address.user, &address.password_file) {
        read(PASSWORD, path)?;
    }
    let Some(tls) = &address.tls else { return Ok(()) };
    certificates(AUTHORITY, &tls.ca)?;
    let Some((certificate, key)) = &tls.identity else { return Ok(()) };
    let chain = certificates(CERTIFICATE, certificate)?;
    let useless = |why: &str| FileError::Content { named: KEY, path: key.clone(), why: why.to_owned() };
    let secret = PrivateKeyDer::from_pem_slice(&read(KEY, key)?)
        .map_err(|_| useless("it holds no private key in PEM form"))?;
    let secret = ring::sign::any_supported_type(&secret)
        .map_err(|_| useless("its key is neither Ed25519, ECDSA nor RSA"))?;
    match CertifiedKey::new(chain, secret).keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(FileError::OtherKey { path: key.clone() })
        }
        // A key that cannot tell is believed.
        _ => Ok(()),
    }
}

/// At least one.
fn certificates(named: Named, path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read(named, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| FileError::Content {
        named,
        path: path.to_owned(),
        why: "it holds no certificate in PEM form".to_owned(),
    })
}

fn read(named: Named, path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error| FileError::Read { named, path: path.to_owned(), error })
}

/// The same as text.
pub(crate) fn read_text(named: Named, path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|error| FileError::Read { named, path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, process::Command};

    use super::*;

    /// A directory with certificates made by the script that ships with the product; gone with the test.
    struct Files(PathBuf);

    impl Files {
        fn make() -> Self {
            let dir = std::env::temp_dir().join(format!("kw-files-{}", uuid::Uuid::new_v4()));
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosquitto/certificates");
            for arguments in [&["init"][..], &["kiosk", "K-0001"]] {
                let done = Command::new(&script).arg(&dir).args(arguments).output().unwrap();
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            }
            fs::write(dir.join("junk"), "junk").unwrap();
            fs::set_permissions(dir.join("junk"), fs::Permissions::from_mode(0o600)).unwrap();
            Self(dir)
        }

        /// `@` is this directory; of the text after `sections` nothing else names a file.
        fn check(&self, sections: &str) -> Result<(), String> {
            let dir = self.0.display().to_string();
            let text = format!("[storage]\ndata_dir = \"@\"\n{sections}").replace('@', &dir);
            let config = Config::from_parts(Some(("server.toml", &text)), []).unwrap();
            let errors: Vec<String> = check(&config).iter().map(ToString::to_string).collect();
            if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
        }

        fn broker(&self, ca: &str, cert: &str, key: &str) -> Result<(), String> {
            self.check(&format!(
                "[mqtt]\nurl = \"mqtts://b\"\nca_file = \"@/{ca}\"\ncert_file = \"@/{cert}\"\nkey_file = \"@/{key}\""
            ))
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_is_missing_or_of_no_use_is_told_by_its_key_and_with_what_belongs_there() {
        let files = Files::make();
        let (ca, cert, key) = ("server-ca.pem", "server.pem", "server.key");
        let password = |name: &str| {
            let url = "url = \"mqtt://b\"\nuser = \"kioskwatch\"";
            files.check(&format!("[mqtt]\n{url}\npassword_file = \"@/{name}\""))
        };
        for (said, parts) in [
            (files.broker("none", cert, key), ["[mqtt] ca_file", "none", "No such file", "the authority"]),
            (files.broker("junk", cert, key), ["[mqtt] ca_file", "junk", "no certificate", "the authority"]),
            (files.broker(ca, "none", key), ["[mqtt] cert_file", "none", "No such file", "own certificate"]),
            (files.broker(ca, cert, "none"), ["[mqtt] key_file", "none", "No such file", "key of this"]),
            (files.broker(ca, cert, "junk"), ["[mqtt] key_file", "junk", "no private key", "key of this"]),
            (
                files.broker(ca, cert, "broker.key"),
                ["[mqtt] key_file", "broker.key", "is not the key", "both"],
            ),
            (password("none"), ["[mqtt] password_file", "none", "No such file", "password for this server"]),
            (
                files.check("[fleet]\nseed_file = \"@/none\""),
                ["[fleet] seed_file", "none", "No such file", ""],
            ),
            (
                files.check("[commands]\nsigning_key_file = \"@/junk\""),
                ["[commands] signing_key_file", "junk", "64 hex digits", ""],
            ),
        ] {
            let said = said.unwrap_err();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        let both = files.check("[fleet]\nseed_file = \"@/none\"\n[commands]\nsigning_key_file = \"@/junk\"");
        assert_eq!(both.unwrap_err().lines().count(), 2, "all of them at once");
        files.broker(ca, cert, key).unwrap();
        password("junk").unwrap();
        // A start makes it.
        files.check("[commands]\nsigning_key_file = \"@/none\"").unwrap();
        assert!(!files.0.join("none").exists());
        // What nobody would read says nothing.
        files.check("[mqtt]\nurl = \"mqtt://b\"\nca_file = \"@/none\"").unwrap();
    }

    #[test]
    fn a_data_directory_that_a_start_could_not_make_or_fill_is_told() {
        let files = Files(std::env::temp_dir().join(format!("kw-data-{}", uuid::Uuid::new_v4())));
        fs::create_dir(&files.0).unwrap();
        fs::write(files.0.join("file"), "").unwrap();
        let told = |dir: &str| data_dir(&files.0.join(dir)).map_err(|error| error.to_string());
        told("").unwrap();
        told("new/data").unwrap();
        assert!(!files.0.join("new").exists(), "looking makes nothing");
        for dir in ["file", "file/data"] {
            let told = told(dir).unwrap_err();
            assert!(
                told.starts_with("[storage] data_dir: ") && told.contains("file is no directory"),
                "{told}"
            );
        }
    }
}
