//! What must hold for every file of certificates and keys, for the fuzz targets. No part of what this crate promises.

use super::bundle::Bundle;
use super::{Path, PemObject, PrivateKeyDer, RootCertStore, builder, certificates, wrong};

/// A file is taken as it is, or refused: by its name, and without a word of what is in it.
///
/// # Panics
/// When that does not hold.
pub fn pem(text: &[u8]) {
    let file = Path::new("/etc/tls/file.pem");
    let harmless = |said: &str| {
        assert!(!said.contains(char::is_control) && said.len() < 400, "{said:?}");
        let words = text.split(u8::is_ascii_whitespace).filter(|word| word.len() >= 24);
        for word in words.filter_map(|word| std::str::from_utf8(word).ok()) {
            assert!(!said.contains(word), "{said} shows {word}");
        }
    };
    let refused = |error: registry_core::Error| {
        let said = error.to_string();
        assert!(said.contains("/etc/tls/file.pem"), "{said}");
        harmless(&said);
    };
    match Bundle::of(file, text) {
        // What is left of a bundle is whole: another client parses it once more.
        Ok((Bundle { roots, pem }, skipped)) => {
            for said in &skipped {
                harmless(said);
            }
            assert!(!roots.is_empty());
            assert_eq!(certificates(file, &pem).expect("a whole bundle").len(), roots.len());
        }
        Err(error) => refused(error),
    }
    let (chain, key) = (certificates(file, text), PrivateKeyDer::from_pem_slice(text));
    match (chain, key) {
        (Ok(chain), Ok(key)) => {
            let trusting = builder().expect("TLS").with_root_certificates(RootCertStore::empty());
            if let Err(error) = trusting.with_client_auth_cert(chain, key) {
                harmless(&error.to_string());
            }
        }
        (chain, key) => {
            if let Err(error) = chain {
                refused(error);
            }
            if let Err(error) = key {
                refused(wrong(file, "private key", &error));
            }
        }
    }
}
