//! Orphans are adopted and reaped.

mod common;

use common::{children, eventually, numbers, processes, shell, stat};
use processes::Output;

#[tokio::test]
async fn an_orphan_is_adopted_and_leaves_no_zombie() {
    let processes = processes();
    let before = processes.adopted();
    // The orphan ends when the pipe that is its stdin is closed, so that it surely lives until it is looked at.
    let (theirs, ours) = std::io::pipe().unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&theirs));
    let script = "cat >/dev/null <\"$PIPE\" & echo $!";
    let command = shell(script).env("PIPE", path).stdout(Output::Capture { limit: 100 });
    let parent = processes.spawn(command).unwrap();
    let orphan = numbers(&parent.captured().await.0.text())[0];
    assert_eq!(stat(orphan).map(|(_, parent, _)| parent), Some(std::process::id()));
    drop((theirs, ours));
    eventually("the orphan is reaped", || stat(orphan).is_none()).await;
    eventually("and counted", || processes.adopted() > before).await;
    assert_eq!(children(), []);
}
