//! Which files are taken for a store, and who may read them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use registry_core::{Error, ErrorKind};
use registry_sqlite::{Config, connect};
use rusqlite::Connection;

use super::child::Child;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// The error, which must be about the configuration and name the file.
fn refused(path: &Path, named: &Path) -> Error {
    let error = connect(Config::new(path)).expect_err("it must be refused");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(&named.display().to_string()), "{error}");
    error
}

pub(crate) async fn the_store_belongs_to_its_user_alone(place: &Path) {
    let dir = place.join("new");
    let store = dir.join("registry.db");
    let mut maker = Child::start("maker", &store);
    assert_eq!(maker.hear(), "made");
    assert_eq!(mode(&dir), 0o700);
    // Not only the file itself: what was written last is in one beside it.
    let files: Vec<_> = fs::read_dir(&dir).expect("read").map(|file| file.expect("read").path()).collect();
    assert!(files.contains(&store) && files.len() > 1, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    maker.end();
}

pub(crate) async fn a_symbolic_link_is_refused(place: &Path) {
    let (target, link) = (place.join("target.db"), place.join("registry.db"));
    symlink(&target, &link).expect("linked");
    refused(&link, &link);
    assert!(!target.exists(), "the link was followed");
    fs::write(&target, "precious").expect("written");
    refused(&link, &link);
    assert_eq!(fs::read(&target).expect("read"), b"precious");
}

pub(crate) async fn a_directory_that_others_may_write_is_refused(place: &Path) {
    let store = place.join("registry.db");
    for open in [0o777, 0o770, 0o722] {
        fs::set_permissions(place, Permissions::from_mode(open)).expect("changed");
        refused(&store, place);
        assert!(!store.exists());
    }
    // As /tmp is: others may write, and cannot take away what is ours.
    fs::set_permissions(place, Permissions::from_mode(0o1777)).expect("changed");
    connect(Config::new(&store)).expect("the store opens");
}

pub(crate) async fn a_store_that_others_may_write_is_refused(place: &Path) {
    let store = place.join("registry.db");
    drop(connect(Config::new(&store)).expect("the store opens"));
    fs::set_permissions(&store, Permissions::from_mode(0o666)).expect("changed");
    refused(&store, &store);
    fs::set_permissions(&store, Permissions::from_mode(0o600)).expect("changed");
    connect(Config::new(&store)).expect("the store opens");
}

pub(crate) async fn a_relative_path_is_refused(_: &Path) {
    for path in ["registry.db", "./registry.db", "some/registry.db", "../registry.db", ""] {
        refused(Path::new(path), Path::new(path));
        assert!(!Path::new(path).is_file());
    }
}

/// A file that is no store, as it was before and must be afterwards.
fn untouched(store: &Path) {
    let before =
        (fs::read(store).expect("read"), fs::metadata(store).and_then(|about| about.modified()).expect("read"));
    let error = refused(store, store);
    let after = (fs::read(store).expect("read"), fs::metadata(store).and_then(|about| about.modified()).expect("read"));
    assert!(before == after, "it was changed, although {error}");
    let dir = store.parent().expect("a directory");
    assert_eq!(fs::read_dir(dir).expect("read").count(), 1, "something was put beside it");
}

pub(crate) async fn a_file_that_is_no_store_is_left_alone(place: &Path) {
    let store = place.join("registry.db");
    fs::write(&store, "this is a diary, and much longer than the header of a database would be. ".repeat(100))
        .expect("written");
    fs::set_permissions(&store, Permissions::from_mode(0o600)).expect("changed");
    untouched(&store);
}

pub(crate) async fn the_database_of_another_program_is_left_alone(place: &Path) {
    let store = place.join("registry.db");
    let other = Connection::open(&store).expect("made");
    other.execute_batch("CREATE TABLE diary (page TEXT); INSERT INTO diary VALUES ('dear');").expect("written");
    drop(other);
    fs::set_permissions(&store, Permissions::from_mode(0o600)).expect("changed");
    untouched(&store);
}

pub(crate) async fn a_store_of_a_later_version_is_left_alone(place: &Path) {
    let store = place.join("registry.db");
    drop(connect(Config::new(&store)).expect("the store opens"));
    Connection::open(&store).and_then(|file| file.execute("UPDATE meta SET layout = layout + 1", [])).expect("written");
    let error = refused(&store, &store);
    assert!(error.to_string().contains("version"), "{error}");
}
