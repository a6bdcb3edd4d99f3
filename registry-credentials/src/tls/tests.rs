use std::fs;
use std::path::PathBuf;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use registry_address::Scheme;

use super::*;

const ETCD: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };

/// A directory with a certificate and its key, and an address that trusts and shows it.
fn set_up() -> (tempfile::TempDir, Address) {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    issue(&cert, &key);
    let address = Address::new(&ETCD, ["h:1"]).tls().ca(&cert).cert(&cert).key(&key);
    (directory, address)
}

fn issue(cert: &Path, key: &Path) {
    let CertifiedKey { cert: made, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(cert, made.pem()).unwrap();
    fs::write(key, signing_key.serialize_pem()).unwrap();
}

fn file(path: Option<&PathBuf>) -> &Path {
    path.unwrap()
}

#[test]
fn names_the_file_that_is_wrong_and_shows_nothing_of_it() {
    for (content, why) in [
        ("", "there is none"),
        ("nothing", "there is none"),
        ("-----BEGIN CANARY\n", "damaged"),
        ("-----BEGIN CERTIFICATE-----\ncanary\n", "half-written"),
        ("-----BEGIN CERTIFICATE-----\ncanary%\n-----END CERTIFICATE-----\n", "damaged"),
    ] {
        let (_directory, address) = set_up();
        fs::write(file(address.ca.as_ref()), content).unwrap();
        let error = Tls::of(&address).unwrap_err().to_string();
        assert!(
            error.contains(file(address.ca.as_ref()).to_str().unwrap()) && error.contains(why),
            "{content:?}: {error}"
        );
        assert!(!error.to_lowercase().contains("canary"), "{error}");
    }
    let (_directory, address) = set_up();
    let error = Tls::of(&address.clone().ca("/nowhere/ca.pem")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
    let error = Tls::of(&address.clone().key(file(address.cert.as_ref()))).unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("private key"), "{error}");
    assert!(Tls::of(&Address::new(&ETCD, ["h:1"])).unwrap().is_none());
}

/// A bundle of three, whose middle one somebody has damaged.
#[test]
fn a_damaged_certificate_is_left_out_of_its_bundle_and_named() {
    let made: Vec<_> =
        (0..2).map(|_| generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem()).collect();
    let file = Path::new("/etc/tls/bundle.pem");
    let begin = "-----BEGIN CERTIFICATE-----\n";
    let end = "-----END CERTIFICATE-----\n";
    for (damaged, why) in [
        (format!("{begin}canary%\n{end}"), "damaged"),
        (format!("{begin}Y2FuYXJ5\n{end}"), "cannot be decoded"),
        (format!("{begin}Y2FuYXJ5\n"), "half-written"),
    ] {
        let text = format!("# one\n{}\n# two\n{damaged}\n# three\n{}", made[0], made[1]);
        let (bundle, refused) = bundle::Bundle::of(file, text.as_bytes()).unwrap();
        assert_eq!(bundle.roots.len(), 2, "{why}");
        let [said] = refused.as_slice() else { panic!("{refused:?}") };
        assert!(said.contains("certificate 2 of 3 in /etc/tls/bundle.pem") && said.contains(why), "{said}");
        // For a client that reads it itself, and refuses the whole for one.
        let all = certificates(file, &bundle.pem).unwrap();
        assert_eq!(all.len(), 2, "{why}");
        let error = bundle::Bundle::of(file, damaged.as_bytes()).map(drop).unwrap_err().to_string();
        assert!(error.contains("/etc/tls/bundle.pem") && error.contains(why), "{error}");
        assert!(!format!("{said}{error}").contains("canary") && !error.contains("Y2Fu"), "{said} {error}");
    }
}

/// `CONSUL_CAPATH` names a directory.
#[test]
fn a_directory_of_certificates_is_read_and_read_again() {
    let (directory, address) = set_up();
    let trusted = directory.path().join("trusted");
    fs::create_dir(&trusted).unwrap();
    let address = address.ca(&trusted);
    let empty = Tls::of(&address).unwrap_err().to_string();
    assert!(empty.contains(trusted.to_str().unwrap()), "{empty}");
    fs::write(trusted.join("README"), "no certificate").unwrap();
    fs::write(trusted.join(".hidden"), "no certificate").unwrap();
    issue(&trusted.join("one.pem"), &directory.path().join("one.key"));
    let rotated = Tls::of(&address).unwrap().unwrap();
    let count = |tls: &Tls| certificates(&trusted, tls.ca().unwrap()).unwrap().len();
    assert_eq!(count(&rotated.current()), 1);
    issue(&trusted.join("two.pem"), &directory.path().join("two.key"));
    assert_eq!(count(&rotated.current()), 2);
    let before = rotated.current();
    // In its place, so that the directory itself does not change; some file systems count time in steps of 4 ms.
    std::thread::sleep(std::time::Duration::from_millis(20));
    issue(&trusted.join("two.pem"), &directory.path().join("two.key"));
    assert_ne!(rotated.current().ca(), before.ca());
}

/// Certificate and key are two files: between their replacements they do not go together, and neither may be used.
#[test]
fn half_a_rotation_keeps_what_there_was() {
    let (directory, address) = set_up();
    let rotated = Tls::of(&address).unwrap().unwrap();
    let before = rotated.current();
    let (cert, key) = (directory.path().join("new-cert.pem"), directory.path().join("new-key.pem"));
    issue(&cert, &key);
    fs::rename(&cert, file(address.cert.as_ref())).unwrap();
    assert_eq!(rotated.current().identity(), before.identity());
    let fault = rotated.fault().expect("a fault");
    assert!(fault.contains("cert.pem") && fault.contains("key.pem") && fault.contains("together"), "{fault}");
    fs::rename(&key, file(address.key.as_ref())).unwrap();
    let after = rotated.current();
    assert_ne!(after.identity(), before.identity());
    assert_ne!(after.ca(), before.ca());
    assert_eq!(rotated.fault(), None);
    assert!(!format!("{after:?}").contains("BEGIN"));
}
