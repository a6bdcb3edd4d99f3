//! Certificates for tests with TLS, made anew each time: no key lies in the repository, and none gets too old.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::{Error, Result};

/// A directory that [`make`] has filled. All files are PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Where the files are: `ca.pem`, `other-ca.pem`, and a `.pem` with its `.key` for `server`, `expired`, `misnamed`
    /// and `client`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The authority that has signed all the others.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// An authority that has signed none of them.
    pub fn other_ca(&self) -> PathBuf {
        self.directory.join("other-ca.pem")
    }

    /// A client's certificate; its common name, and so its etcd user, is `client`.
    pub fn client(&self) -> PathBuf {
        self.directory.join("client.pem")
    }

    /// The key of [`client`](Self::client).
    pub fn client_key(&self) -> PathBuf {
        self.directory.join("client.key")
    }
}

/// Makes an authority, a server's certificate for `localhost`, 127.0.0.1 and `::1`, the same one with its time over, one for
/// another name, a client's certificate, and another authority, in a directory that exists.
pub fn make(directory: &Path) -> Result<Certificates> {
    let certificates = Certificates { directory: directory.to_owned() };
    write(&certificates).map_err(Error::because(format!("cannot make certificates in {}", directory.display())))?;
    Ok(certificates)
}

type Failure = Box<dyn std::error::Error>;

fn write(certificates: &Certificates) -> std::result::Result<(), Failure> {
    let ca = authority("cluster-control test CA")?;
    fs::write(certificates.ca(), ca.pem())?;
    fs::write(certificates.other_ca(), authority("another test CA")?.pem())?;

    let mut expired = server()?;
    expired.not_before = date_time_ymd(2001, 1, 1);
    expired.not_after = date_time_ymd(2002, 1, 1);
    let mut misnamed = server()?;
    misnamed.subject_alt_names = CertificateParams::new(vec!["elsewhere.invalid".to_owned()])?.subject_alt_names;
    let all = [("server", server()?), ("expired", expired), ("misnamed", misnamed), ("client", client()?)];
    for (name, parameters) in all {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &ca)?;
        let path = certificates.directory.join(name);
        fs::write(path.with_extension("pem"), certificate.pem())?;
        fs::write(path.with_extension("key"), key.serialize_pem())?;
    }
    Ok(())
}

fn authority(name: &str) -> std::result::Result<CertifiedIssuer<'static, KeyPair>, Failure> {
    let mut parameters = named(name, vec![])?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?)
}

fn server() -> std::result::Result<CertificateParams, Failure> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut parameters = named("server", names.to_vec())?;
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        // etcd's own gateway is a client of its server, with this certificate.
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(parameters)
}

fn client() -> std::result::Result<CertificateParams, Failure> {
    let mut parameters = named("client", vec![])?;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(parameters)
}

fn named(name: &str, alternative_names: Vec<String>) -> std::result::Result<CertificateParams, Failure> {
    let mut parameters = CertificateParams::new(alternative_names)?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}
