//! No server outlives its test, however that ends.

use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};

use crate::witness::is_gone;
use test_servers::{Etcd, Version};
use tokio::runtime::Runtime;

#[test]
fn dropped_outside_of_a_runtime() {
    let etcd = Runtime::new().unwrap().block_on(Etcd::start(Version::V3_4)).unwrap();
    let port = etcd.port();
    drop(etcd);
    assert!(is_gone(port));
}

#[test]
fn dropped_by_a_panic() {
    let runtime = Runtime::new().unwrap();
    let mut port = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let etcd = Etcd::start(Version::V3_5).await.unwrap();
            port = etcd.port();
            assert_eq!(etcd.endpoint(), "something else");
        });
    }));
    assert!(result.is_err());
    assert!(is_gone(port));
}

/// The tests' process, as a runner or a person may end it: nothing is dropped.
fn ended_by(signal: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_test-servers"))
        .arg("3.4")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let port = read_port(&mut child);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    child.wait().unwrap();
    assert!(is_gone(port));
}

fn read_port(child: &mut Child) -> u16 {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn the_process_is_killed() {
    ended_by("-KILL");
}

#[test]
fn the_process_is_interrupted() {
    ended_by("-INT");
}
