//! The certificates to trust, from a file or a directory of files.
//!
//! Bundles are put together from many sources, and one certificate in them that nobody needs may be damaged, or of a kind that
//! is not known here. That one is not trusted; it must not keep all others from being trusted, and the log says which one
//! it is.

use std::path::{Path, PathBuf};

use registry_core::{Error, Result};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};

use super::{read, why, wrong};

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";
/// What begins any section.
const SECTION: &[u8] = b"-----BEGIN ";

/// The certificates that can be used.
pub(super) struct Bundle {
    pub(super) roots: RootCertStore,
    /// The same ones in PEM.
    pub(super) pem: Vec<u8>,
}

impl Bundle {
    /// Reads a file, or every file in a directory.
    ///
    /// # Errors
    /// `Config`, naming the file or directory in which there is no certificate that can be used.
    pub(super) fn read(place: &Path) -> Result<Self> {
        let mut bundle = Self { roots: RootCertStore::empty(), pem: Vec::new() };
        let mut add = |file: &Path| -> Result<()> {
            for refused in bundle.add(file, &read(file)?)? {
                tracing::warn!("{refused}");
            }
            Ok(())
        };
        if !place.is_dir() {
            add(place)?;
            return Ok(bundle);
        }
        let mut last = None;
        for file in files_in(place)? {
            if let Err(error) = add(&file) {
                tracing::warn!("{error}; the other files in {} are used", place.display());
                last = Some(error);
            }
        }
        if bundle.roots.is_empty() {
            let error = Error::config(format!("the directory {} holds no file with a certificate", place.display()));
            return Err(match last {
                Some(last) => error.because(last),
                None => error,
            });
        }
        Ok(bundle)
    }

    /// The certificates of a text, and what is said of those that cannot be used.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of(file: &Path, text: &[u8]) -> Result<(Self, Vec<String>)> {
        let mut bundle = Self { roots: RootCertStore::empty(), pem: Vec::new() };
        let refused = bundle.add(file, text)?;
        Ok((bundle, refused))
    }

    /// Takes the certificates of a text. What is returned says which ones cannot be used, and why.
    fn add(&mut self, file: &Path, text: &[u8]) -> Result<Vec<String>> {
        let sections = sections(text);
        let (mut refused, mut broken) = (Vec::new(), None);
        for (number, section) in (1..).zip(&sections) {
            let why = match CertificateDer::from_pem_slice(section).map(|certificate| self.roots.add(certificate)) {
                Ok(Ok(())) => {
                    self.pem.extend_from_slice(section);
                    self.pem.push(b'\n');
                    continue;
                }
                Ok(Err(_)) => "it cannot be decoded",
                Err(error) => why(broken.insert(error)),
            };
            let (count, file) = (sections.len(), file.display());
            refused.push(format!("certificate {number} of {count} in {file} is not used: {why}"));
        }
        match broken {
            _ if refused.len() < sections.len() => Ok(refused),
            None if !sections.is_empty() => {
                let file = file.display();
                Err(Error::config(format!(
                    "the file {file} holds no certificate that can be trusted: it cannot be decoded"
                )))
            }
            broken => Err(wrong(file, "certificate", &broken.unwrap_or_else(|| why_none(text)))),
        }
    }
}

/// Why there is no section of a certificate.
fn why_none(text: &[u8]) -> PemError {
    match CertificateDer::pem_slice_iter(text).next() {
        Some(Err(error)) => error,
        _ => PemError::NoItemsFound,
    }
}

/// The texts of the certificates, each from its first to its last line. One whose end is missing reaches to where the next
/// section begins.
fn sections(text: &[u8]) -> Vec<&[u8]> {
    let (mut all, mut open, mut at) = (Vec::new(), None, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n' || *byte == b'\r') {
        if line.starts_with(SECTION) {
            if let Some(from) = open.take() {
                all.push(&text[from..at]);
            }
            open = line.starts_with(BEGIN).then_some(at);
        }
        at += line.len();
        if line.starts_with(END)
            && let Some(from) = open.take()
        {
            all.push(&text[from..at]);
        }
    }
    all.extend(open.map(|from| &text[from..]));
    all
}

/// The files in a directory, sorted; links to files count, and hidden files do not.
fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |error| Error::config(format!("cannot read the directory {}", directory.display())).because(error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
