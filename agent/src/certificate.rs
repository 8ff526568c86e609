//! What a certificate says about its holder: brokers take the common name for the kiosk's identity.
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use webpki::EndEntityCert;

/// The content of the object identifier 2.5.4.3, `commonName` (X.520).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Whether there is any certificate in `pem`.
pub(crate) fn holds_certificate(pem: &[u8]) -> bool {
    CertificateDer::pem_slice_iter(pem).next().is_some_and(|first| first.is_ok())
}

/// The holder's own certificate, which stands first in its file.
fn own(pem: &[u8]) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem).map_err(|_| "it holds no certificate in PEM form".to_owned())
}

/// The common name of the first certificate in `pem`; of several names the first, as Mosquitto takes it.
///
/// # Errors
/// What is wrong with the certificate, for a sentence that names its file.
pub(crate) fn common_name(pem: &[u8]) -> Result<String, String> {
    let der = own(pem)?;
    let certificate =
        EndEntityCert::try_from(&der).map_err(|error| format!("its certificate is not valid ({error:?})"))?;
    first_common_name(certificate.subject()).ok_or_else(|| "its certificate has no common name".to_owned())
}

/// Whether the key belongs to the first certificate; a key that cannot tell is believed.
///
/// # Errors
/// What is wrong with the key, for a sentence that names its file.
pub(crate) fn key_belongs(certificate: &[u8], key: &[u8]) -> Result<bool, String> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "it holds no private key in PEM form")?;
    let key = any_supported_type(&key).map_err(|_| "its key is neither Ed25519, ECDSA nor RSA")?;
    let der = own(certificate)?;
    let Ok(certificate) = EndEntityCert::try_from(&der) else { return Ok(true) };
    Ok(key.public_key().is_none_or(|public| public == certificate.subject_public_key_info()))
}

/// One DER element at the front: its content and what follows. Nothing in a name is longer than two bytes say.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der.get(1..)? {
        [0x82, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        [0x81, length, rest @ ..] => (usize::from(*length), rest),
        [length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A `Name` is a sequence of sets of (identifier, text); its own outer element is already taken off.
fn first_common_name(mut name: &[u8]) -> Option<String> {
    while !name.is_empty() {
        let (mut set, others) = element(name)?;
        name = others;
        while !set.is_empty() {
            let (attribute, others) = element(set)?;
            set = others;
            let (identifier, value) = element(attribute)?;
            if identifier == COMMON_NAME {
                return Some(String::from_utf8_lossy(element(value)?.0).into_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_common_name_is_found_wherever_it_stands() {
        // C=CN, O=Bank + CN=K-0007, CN=second; then one without any.
        let country = hex::decode("310b300906035504060c02434e").unwrap();
        let both = hex::decode("311c300b060355040a0c0442616e6b300d06035504030c064b2d30303037").unwrap();
        let second = hex::decode("310f300d06035504030c067365636f6e64").unwrap();
        let name = [country.as_slice(), &both, &second].concat();
        assert_eq!(first_common_name(&name).as_deref(), Some("K-0007"));
        assert_eq!(first_common_name(&country), None);
        // Cut anywhere, it is no name and no panic.
        for cut in 0..name.len() {
            let _ = first_common_name(&name[..cut]);
        }
        assert_eq!(first_common_name(&[0x31, 0x83, 1, 1, 1]), None);
    }
}
