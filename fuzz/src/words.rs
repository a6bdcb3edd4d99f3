//! Single words and lines: names, indices, leases, durations, and what a file is said to be.

use registry_core::{Dir, Index, Key, Lease, MAX_PATH, Name, Scope};
use registry_handlers::{FileSpec, NotifySpec, parse_duration};

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

pub(crate) fn index(data: &[u8]) {
    match text(data).parse::<Index>() {
        Ok(index) => {
            assert_eq!(format!("{index:#}").parse::<Index>().expect("its own words"), index);
            assert!(text(data).bytes().all(|byte| byte.is_ascii_digit() || byte == b'@'));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control) && error.to_string().len() < 600),
    }
}

pub(crate) fn lease(data: &[u8]) {
    let Ok(lease) = Lease::restore(text(data)) else { return };
    let again = Lease::restore(&lease.to_line()).expect("its own words");
    assert_eq!(
        (again.key(), again.id(), again.token(), again.ttl()),
        (lease.key(), lease.id(), lease.token(), lease.ttl())
    );
}

pub(crate) fn name(data: &[u8]) {
    let dir = Dir::new("/clusters/web").expect("a valid path");
    if let Ok(name) = Name::new(text(data)) {
        assert_eq!(name.as_str(), text(data), "a name is what was given");
        assert!(!name.as_str().contains(char::is_control) && !name.as_str().contains(char::is_whitespace), "{name}");
        assert!(
            name.as_str()
                .split('/')
                .all(|part| !part.is_empty() && !part.starts_with('_') && part != "." && part != "..")
        );
        if let Ok(key) = Key::new(&dir, &name) {
            let scope = Scope::from(dir.clone());
            assert_eq!(scope.name_of(key.as_str()).expect("valid"), Some(name));
            assert!(key.as_str().len() <= MAX_PATH);
        }
    }
    if let Ok(key) = Key::parse(text(data)) {
        assert_eq!(key.dir().key(key.name().as_str()).expect("its own parts"), key);
        assert_eq!(Scope::from(key.clone()).name_of(key.as_str()).expect("valid"), Some(key.name()));
    }
    if let Ok(path) = Dir::new(text(data)) {
        assert_eq!(Dir::new(path.as_str()).expect("its own words"), path);
        assert!(path.as_str() == "/" || !path.as_str().ends_with('/'), "{path}");
        if let Ok(below) = path.join("x") {
            assert_eq!(path.strip(below.as_str()), Some("x"));
        }
    }
}

pub(crate) fn etcd_v3(data: &[u8]) {
    registry_etcd_v3::fuzzing::words(text(data));
}

pub(crate) fn duration(data: &[u8]) {
    match parse_duration(text(data)) {
        Ok(duration) => {
            assert_eq!(parse_duration(&format!("{}ms", duration.as_millis())), Ok(duration));
        }
        Err(why) => assert!(why.len() < 1000 && !why.contains(char::is_control), "{why:?}"),
    }
}

/// Files and notifications as a configuration describes them, in both languages.
pub(crate) fn specification(data: &[u8]) {
    let text = text(data);
    if let Ok(file) = toml::from_str::<FileSpec>(text) {
        let again = toml::from_str::<FileSpec>(text).expect("once more");
        assert_eq!(format!("{again:?}"), format!("{file:?}"));
    }
    let _: Result<NotifySpec, _> = toml::from_str(text);
    let _: Result<FileSpec, _> = serde_json::from_str(text);
    let _: Result<NotifySpec, _> = serde_json::from_str(text);
}
