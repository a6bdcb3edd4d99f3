//! Against the real file system.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::spec::FileKind;

fn writer(dest: impl Into<PathBuf>, change: impl FnOnce(&mut FileSpec)) -> Writer {
    let mut spec = FileSpec::new(FileKind::Lines, ["db"], dest);
    change(&mut spec);
    Writer::new(&spec).unwrap()
}

/// True when something was written.
fn write(writer: &Writer, bytes: &[u8]) -> Result<bool> {
    match writer.stage(writer.look()?, bytes.to_vec(), false)? {
        None => Ok(false),
        Some(candidate) => writer.commit(candidate).map(|_| true),
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_new_file_gets_the_default_or_the_wanted_mode() {
    let directory = tempfile::tempdir().unwrap();
    let (plain, closed) = (directory.path().join("plain"), directory.path().join("closed"));
    assert!(write(&writer(&plain, |_| {}), b"x").unwrap());
    assert!(write(&writer(&closed, |spec| spec.mode = Some("0600".parse().unwrap())), b"x").unwrap());
    assert_eq!((mode(&plain), mode(&closed)), (0o644, 0o600));
    assert_eq!(names(directory.path()), ["closed", "plain"]);
}

#[test]
fn an_existing_file_keeps_mode_and_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o751)).unwrap();
    std::os::unix::fs::chown(&path, Some(1234), Some(4321)).expect("this test needs root to give a file away");
    assert!(write(&writer(&path, |_| {}), b"new").unwrap());
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid(), metadata.gid()), (0o751, 1234, 4321));
    assert!(write(&writer(&path, |spec| spec.group = Some("77".into())), b"newer").unwrap());
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 77));
}

#[test]
fn equal_bytes_are_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let writer = writer(&path, |spec| spec.mode = Some("0640".parse().unwrap()));
    assert!(write(&writer, b"same").unwrap());
    let before = fs::metadata(&path).unwrap();
    assert!(!write(&writer, b"same").unwrap());
    let after = fs::metadata(&path).unwrap();
    let facts = |m: &fs::Metadata| (m.ino(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    assert_eq!(facts(&before), facts(&after));
    // A wrong mode is corrected, and the content left alone.
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    assert!(!write(&writer, b"same").unwrap());
    assert_eq!((mode(&path), fs::metadata(&path).unwrap().ino()), (0o640, before.ino()));
    assert!(write(&writer, b"othe").unwrap(), "equal length is not equal content");
}

#[test]
fn a_link_stays_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink("real/target", directory.path().join("middle")).unwrap();
    symlink("middle", directory.path().join("link")).unwrap();
    let writer = writer(directory.path().join("link"), |_| {});
    assert!(write(&writer, b"first").unwrap(), "the target did not exist");
    assert!(write(&writer, b"second").unwrap());
    assert_eq!(fs::read(real.join("target")).unwrap(), b"second");
    assert!(fs::symlink_metadata(directory.path().join("link")).unwrap().is_symlink());
    assert_eq!(names(&real), ["target"]);
    symlink("round", directory.path().join("round")).unwrap();
    assert!(super::Writer::look(&self::writer(directory.path().join("round"), |_| {})).is_err());
}

/// A directory like `/tmp` of user 1234, with a link in it that belongs to somebody.
fn shared(owner: u32, target: &Path, link: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
    let link = directory.path().join(link);
    symlink(target, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(owner), None).expect("this test needs root to give a link away");
    std::os::unix::fs::chown(directory.path(), Some(1234), None).unwrap();
    directory
}

/// This machine's kernel may not protect links, and in-place writing would overwrite whatever they lead to.
#[test]
fn a_link_of_another_user_is_not_followed() {
    let target = tempfile::tempdir().unwrap();
    let secret = target.path().join("secret");
    for method in [WriteMethod::Auto, WriteMethod::Rename, WriteMethod::Inplace] {
        let write_to = |dest: PathBuf| write(&writer(dest, |spec| spec.write = method), b"new");
        for (owner, follows) in [(4321, false), (1234, true), (0, true)] {
            fs::write(&secret, "old").unwrap();
            // As the file itself, and as a directory on the way to it.
            for (link, leads_to, dest) in [("link", &*secret, "link"), ("way", target.path(), "way/secret")] {
                let directory = shared(owner, leads_to, link);
                fs::write(&secret, "old").unwrap();
                let written = write_to(directory.path().join(dest));
                let content = fs::read_to_string(&secret).unwrap();
                if follows {
                    assert_eq!((written, content.as_str()), (Ok(true), "new"), "{owner} {dest}");
                } else {
                    let error = written.unwrap_err().to_string();
                    assert!(error.contains("symbolic link of user 4321") && error.contains(link), "{error}");
                    assert_eq!(content, "old", "{dest}");
                }
                assert_eq!(names(directory.path()), [link], "something is left");
                assert_eq!(names(target.path()), ["secret"], "something is left");
            }
        }
    }
}

/// Who puts an empty file there first would own what is written to it.
#[test]
fn a_file_of_another_user_in_a_shared_directory_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "old").unwrap();
    std::os::unix::fs::chown(&path, Some(4321), None).expect("this test needs root to give a file away");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
    let error = write(&writer(&path, |_| {}), b"new").unwrap_err().to_string();
    assert!(error.contains("belongs to user 4321") && fs::read(&path).unwrap() == b"old", "{error}");
    assert!(write(&writer(&path, |spec| spec.owner = Some("4321".into())), b"new").unwrap());
    // Where only its owner may put files, it is there on purpose.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(write(&writer(&path, |_| {}), b"newer").unwrap());
}

/// What is found is written to, whatever its path leads to by then.
#[test]
fn a_directory_that_is_exchanged_in_the_meantime_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (way, moved, other) = (root.path().join("way"), root.path().join("moved"), root.path().join("other"));
    for method in [WriteMethod::Rename, WriteMethod::Inplace] {
        for directory in [&way, &other] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("file"), "old").unwrap();
        }
        let writer = writer(way.join("file"), |spec| spec.write = method);
        let candidate = writer.stage(writer.look().unwrap(), b"new".to_vec(), false).unwrap().unwrap();
        fs::rename(&way, &moved).unwrap();
        symlink(&other, &way).unwrap();
        writer.commit(candidate).unwrap();
        assert_eq!(fs::read(other.join("file")).unwrap(), b"old", "{method:?}");
        assert_eq!(fs::read(moved.join("file")).unwrap(), b"new", "{method:?}");
        assert_eq!((names(&other), names(&moved)), (vec!["file".to_owned()], vec!["file".to_owned()]));
        fs::remove_file(&way).unwrap();
        fs::remove_dir_all(&moved).unwrap();
        fs::remove_dir_all(&other).unwrap();
    }
}

#[test]
fn a_candidate_is_private_and_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let temporary = Temporary::create(directory.path(), OsStr::new("file")).unwrap();
    assert_eq!(mode(temporary.path()), 0o600);
    drop(temporary);
    let writer = writer(directory.path().join("file"), |_| {});
    let Some(candidate) = writer.stage(writer.look().unwrap(), b"x".to_vec(), true).unwrap() else {
        panic!("there is something to write")
    };
    assert_eq!(candidate.path().unwrap().parent(), Some(directory.path()));
    drop(candidate);
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn leftovers_go_and_what_is_in_use_or_not_ours_stays() {
    let directory = tempfile::tempdir().unwrap();
    let stay =
        [".file.cluster-control.short", ".file.cluster-control.abcdefghi", ".other.cluster-control.abcdefgh", "file"];
    for name in stay.iter().chain(&[".file.cluster-control.abcdefgh"]) {
        fs::write(directory.path().join(name), "").unwrap();
    }
    symlink("file", directory.path().join(".file.cluster-control.linklink")).unwrap();
    let in_use = Temporary::create(directory.path(), OsStr::new("file")).unwrap();
    let in_use_name = in_use.path().file_name().unwrap().to_str().unwrap().to_owned();
    writer(directory.path().join("file"), |_| {}).remove_leftovers();
    let mut wanted: Vec<_> = stay.iter().map(ToString::to_string).collect();
    wanted.extend([in_use_name, ".file.cluster-control.linklink".to_owned()]);
    wanted.sort();
    assert_eq!(names(directory.path()), wanted);
}

#[test]
fn in_place_keeps_the_inode_and_cuts_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "a long old content").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let writer = writer(&path, |spec| spec.write = WriteMethod::Inplace);
    assert!(write(&writer, b"short").unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"short");
    assert!(write(&writer, b"longer again").unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"longer again");
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn says_what_is_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let missing = writer(directory.path().join("no/such/file"), |_| {});
    let error = write(&missing, b"x").unwrap_err();
    assert!(error.to_string().contains("no/such does not exist: make it, or mount it"), "{error}");
    let is_directory = writer(directory.path(), |_| {});
    assert!(write(&is_directory, b"x").unwrap_err().to_string().contains("no regular file"));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(write(&writer(&pipe, |_| {}), b"x").unwrap_err().to_string().contains("no regular file"));
    let spec = FileSpec::new(FileKind::Lines, ["db"], "/");
    assert!(Writer::new(&spec).unwrap_err().to_string().contains("no path of a file"));
}

#[test]
fn the_longest_name_still_has_a_temporary_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("n".repeat(255));
    assert!(write(&writer(&path, |_| {}), b"x").unwrap());
    assert_eq!(fs::read(path).unwrap(), b"x");
}

#[test]
fn a_file_of_the_program_is_replaced_whole_and_nothing_is_left_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lease");
    fs::write(directory.path().join(".lease.cluster-control.aB3dE6gH"), "an earlier run's").unwrap();
    replace(&file, "one", Mode::PRIVATE).unwrap();
    replace(&file, "two", Mode::PRIVATE).unwrap();
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("two", 0o600));
    assert_eq!(names(directory.path()), ["lease"]);

    let error = replace(&directory.path().join("none/lease"), "x", Mode::PRIVATE).unwrap_err();
    assert!(error.to_string().contains("none/lease"), "{error}");
}

/// What is there is compared in pieces: neither the first nor the last byte of one is left out.
#[test]
fn a_long_file_is_written_when_one_byte_differs() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path().join("file"), |_| {});
    let mut bytes = vec![b'.'; 200_000];
    assert!(write(&writer, &bytes).unwrap());
    assert!(!write(&writer, &bytes).unwrap());
    for at in [0, 65_535, 65_536, 131_071, 131_072, 199_999] {
        bytes[at] = b'x';
        assert!(write(&writer, &bytes).unwrap(), "byte {at} was not compared");
        assert!(!write(&writer, &bytes).unwrap());
    }
    assert!(fs::read(directory.path().join("file")).unwrap() == bytes);
}
