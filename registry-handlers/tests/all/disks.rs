//! Disks that are full and files that are mounted. These need root, as a container has it, to mount.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::support::{Scene, members, settled, until};
use registry_handlers::WriteMethod;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

/// Unmounts at the end, also of a test that fails.
struct Mount(PathBuf);

impl Mount {
    fn small_disk(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"size=64k"))
            .expect("this test mounts a small disk: run it as root, where mounting is allowed");
        Self(at.to_owned())
    }

    fn bind(source: &Path, at: &Path) -> Self {
        mount_bind(source, at).expect("this test mounts a file: run it as root, where mounting is allowed");
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", self.0.display());
        }
    }
}

/// Members that make a file of about 20 KiB, so that a disk of 64 KiB holds it once and not twice when it is filled.
fn many(first: char) -> Vec<String> {
    (0..200).map(|count| format!("{first}{count:099}")).collect()
}

async fn a_full_disk_keeps_the_file(write: WriteMethod) {
    let scene = Scene::new();
    let disk = Mount::small_disk(&scene.path("disk"));
    let mut spec = scene.file("disk/db.json", &["told"]);
    spec.write = write;
    scene.list(&["old"]);
    let told = crate::support::shell("told", &format!("echo told >>{}", scene.path("told").display()));
    let pipeline = scene.start(&[spec], &[told]);
    settled(&pipeline).await;

    let filler = disk.0.join("filler");
    while fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&filler)
        .and_then(|mut file| {
            use std::io::Write as _;
            file.write_all(&[0; 4096])
        })
        .is_ok()
    {}
    let names = many('n');
    scene.memberships.replace("db", &members(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let status = until("the failure", || pipeline.status(), |status| status.files[0].attempts >= 2).await;
    let error = status.files[0].error.clone().unwrap();
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(scene.read("disk/db.json"), r#"["old"]"#);
    assert_eq!(crate::support::names(&disk.0), ["db.json", "filler"], "no temporary file is left");
    assert_eq!(scene.read("told").lines().count(), 1, "nobody is told of what was not written");

    // No new event: it is tried again by itself.
    fs::remove_file(&filler).unwrap();
    settled(&pipeline).await;
    assert_eq!(scene.read("disk/db.json").len(), names.len() * 103 + 1);
    assert_eq!(scene.read("told").lines().count(), 2);
    pipeline.stop().await;
}

#[tokio::test]
async fn a_full_disk_keeps_the_file_that_would_be_replaced() {
    a_full_disk_keeps_the_file(WriteMethod::Auto).await;
}

#[tokio::test]
async fn a_full_disk_keeps_the_file_that_is_written_in_place() {
    a_full_disk_keeps_the_file(WriteMethod::Inplace).await;
}

#[tokio::test]
async fn a_mounted_file_is_written_in_place_and_that_is_said() {
    let scene = Scene::new();
    let (source, target) = (scene.path("source"), scene.path("db.json"));
    fs::write(&source, "").unwrap();
    fs::write(&target, "").unwrap();
    let _mount = Mount::bind(&source, &target);
    let inode = fs::metadata(&target).unwrap().ino();
    scene.list(&["a", "b"]);
    let pipeline = scene.start(&[scene.file("db.json", &[])], &[]);
    settled(&pipeline).await;
    assert_eq!(fs::read_to_string(&source).unwrap(), r#"["a","b"]"#);
    assert_eq!(fs::metadata(&target).unwrap().ino(), inode);
    assert!(!pipeline.status().files[0].written.unwrap().atomic);
    scene.list(&["c"]);
    settled(&pipeline).await;
    assert_eq!(fs::read_to_string(&source).unwrap(), r#"["c"]"#);
    assert_eq!(crate::support::names(scene.directory.path()), ["db.json", "source"], "no temporary file is left");
    pipeline.stop().await;

    let mut spec = scene.file("db.json", &[]);
    spec.write = WriteMethod::Rename;
    scene.list(&["d"]);
    let pipeline = scene.start(&[spec], &[]);
    let status = until("the refusal", || pipeline.status(), |status| status.files[0].error.is_some()).await;
    assert!(status.files[0].error.as_ref().unwrap().contains("cannot put the new file in its place"), "{status:?}");
    assert_eq!(fs::read_to_string(&source).unwrap(), r#"["c"]"#);
}
