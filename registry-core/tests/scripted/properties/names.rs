//! Text from outside: what is printed is read again, and nothing hostile gets in or panics.

use proptest::prelude::*;
use registry_core::{Dir, Error, Index, Key, Lease, MAX_PATH, MAX_SEGMENT, Name, Scope};

/// A segment as people use it.
fn segment() -> impl Strategy<Value = String> {
    "[A-Za-z0-9\\[][A-Za-z0-9._:@+=~,\\[\\]-]{0,20}"
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(segment(), 2..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// Anything at all, and above all what is nearly right.
fn hostile() -> impl Strategy<Value = String> {
    let nearly =
        ("[/._%\\\\A-Za-z0-9 @-]{0,12}", any::<String>(), "[/.]{0,3}").prop_map(|(a, b, c)| format!("{a}{b}{c}"));
    let long = (segment(), 1..300_usize).prop_map(|(part, count)| format!("/{}", part.repeat(count)));
    prop_oneof![any::<String>(), nearly, long, path().prop_map(|path| format!("{path}/../x"))]
}

/// An error may be shown anywhere: it is short, on one line, and without control characters.
fn is_fit_to_print(error: &Error) -> bool {
    let text = error.to_string();
    text.len() < 700 && !text.chars().any(char::is_control)
}

fn is_clean(text: &str) -> bool {
    let fits = |segment: &str| {
        (1..=MAX_SEGMENT).contains(&segment.len())
            && !segment.starts_with(['.', '_', '-'])
            && segment.chars().all(|c| c.is_ascii_graphic() && !"%\\\"'`$*?!#&|;<>(){}^/".contains(c))
    };
    text.len() <= MAX_PATH && text.split('/').all(fits)
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn a_path_that_is_printed_is_read_again(path in path()) {
        let key: Key = path.parse().expect("valid");
        prop_assert_eq!(key.to_string(), &path[..]);
        prop_assert_eq!(&Key::new(&key.dir(), &key.name()).expect("valid"), &key);
        let dir: Dir = path.parse().expect("valid");
        prop_assert_eq!(dir.to_string(), &path[..]);
        let name: Name = path[1..].parse().expect("valid");
        prop_assert_eq!(name.to_string(), &path[1..]);
        prop_assert_eq!(Scope::from(&key.dir()).name_of(&path).expect("valid"), Some(key.name()));
        prop_assert_eq!(Scope::from(&key).name_of(&path).expect("valid"), Some(key.name()));
    }

    #[test]
    fn a_directory_never_takes_in_its_neighbours(path in path(), more in segment()) {
        let dir: Dir = path.parse().expect("valid");
        let (below, beside) = (format!("{path}/{more}"), format!("{path}{more}"));
        prop_assert_eq!(dir.strip(&below), Some(&more[..]));
        prop_assert_eq!(dir.strip(&beside), None);
        prop_assert_eq!(dir.strip(&path), None);
    }

    #[test]
    fn what_is_hostile_is_refused_in_a_fit_way(text in hostile()) {
        match Name::new(&text) {
            Ok(name) => prop_assert!(is_clean(name.as_str()), "{name:?}"),
            Err(error) => prop_assert!(is_fit_to_print(&error), "{error}"),
        }
        for read in [Dir::new(&text).map(|dir| dir.to_string()), Key::parse(&text).map(|key| key.to_string())] {
            match read {
                Ok(path) => prop_assert!(path.strip_prefix('/').is_some_and(is_clean), "{path:?}"),
                Err(error) => prop_assert!(is_fit_to_print(&error), "{error}"),
            }
        }
        for error in [text.parse::<Index>().err(), Lease::restore(&text).err()].into_iter().flatten() {
            prop_assert!(is_fit_to_print(&error), "{error}");
        }
    }

    #[test]
    fn an_index_that_is_printed_is_read_again(epoch: u64, position: u64) {
        let index = Index::new(epoch, position);
        prop_assert_eq!(format!("{index:#}").parse::<Index>().expect("valid"), index);
        let bare: Index = index.to_string().parse().expect("valid");
        prop_assert_eq!(bare, Index::new(0, position));
        prop_assert!(bare.same_epoch(index));
    }

    #[test]
    fn a_lease_survives_a_line(path in path(), id in "[!-~]([ -~]{0,30}[!-~])?", epoch: u64, token: u64, millis in 0..u64::from(u32::MAX)) {
        let ttl = std::time::Duration::from_millis(millis);
        let lease = Lease::new(path.parse().expect("valid"), &id[..], Index::new(epoch, token), ttl);
        let line = lease.to_line();
        prop_assert!(!line.contains('\n'));
        let again = Lease::restore(&format!("{line}\n")).expect("valid");
        prop_assert_eq!((again.key(), again.id(), again.token(), again.ttl()), (lease.key(), lease.id(), lease.token(), ttl));
    }

    #[test]
    fn a_lease_that_was_tampered_with_is_refused_or_harmless(path in path(), at in 0..60_usize, byte: char) {
        let lease = Lease::new(path.parse().expect("valid"), "owner", Index::new(7, 42), std::time::Duration::from_secs(9));
        let mut line: Vec<char> = lease.to_line().chars().collect();
        let at = at.min(line.len());
        line.insert(at, byte);
        let line: String = line.into_iter().collect();
        if let Ok(lease) = Lease::restore(&line) {
            prop_assert!(lease.key().as_str().strip_prefix('/').is_some_and(is_clean), "{line:?} gives {lease:?}");
        }
    }
}
