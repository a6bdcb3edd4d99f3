//! Servers that accept connections and say nothing.

use std::net::TcpListener;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use crate::callers::{Ask, Callers, SOON, Site, answered_by, ask};

pub(crate) async fn a_server_that_accepts_and_is_silent_gets_no_requests() {
    let site = Site::new();
    let (_alive, _alive_entry) = site.start("alive").await;
    // The kernel accepts for it.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let _silent_entry = site.register("silent", silent.local_addr().expect("an address").port()).await;
    let channel = site.channel();
    for _ in 0..100 {
        let answer = ask(&channel, Ask { limit: Some(SOON), ..Ask::default() }).await;
        assert_eq!(answer.expect("an answer"), "alive");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn only_silent_servers_is_an_error_that_names_them() {
    let site = Site::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let _entry = site.register("silent", silent.local_addr().expect("an address").port()).await;
    let status = ask(&site.channel(), Ask::default()).await.expect_err("no server answers");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("silent at 127.0.0.1:"), "{status}");
    assert!(status.message().contains("accepted the connection and sent nothing"), "{status}");
}

pub(crate) async fn a_frozen_server_gets_no_requests_until_it_is_thawed() {
    let site = Site::new();
    let (frozen, _frozen_entry) = site.start("frozen").await;
    let (alive, _alive_entry) = site.start("alive").await;
    let channel = site.channel();
    answered_by(&channel, &["alive", "frozen"]).await;
    // One caller after the other gives up before two seconds are over: that must not start the count again.
    let request = Ask { takes: Duration::from_millis(5), limit: Some(Duration::from_secs(1)), number: None };
    let callers = Callers::start(4, &channel, request);
    callers.answered(100).await;
    let began = Instant::now();
    frozen.freeze();
    // Longer than it may take to be noticed, so that it would be seen if anybody went on asking it.
    while began.elapsed() < Duration::from_secs(6) {
        callers.answered(100).await;
    }
    let seen = began.elapsed();
    let outcomes = callers.end().await;
    let failures = outcomes.failures();
    let last = failures.iter().map(|(outcome, _)| outcome.began.saturating_duration_since(began)).max();
    println!("{} failed of {} in {seen:?}, the last sent after {last:?}", failures.len(), outcomes.0.len());
    assert!(!failures.is_empty() && failures.len() <= 4 * 4, "{} failed", failures.len());
    assert!(last < Some(Duration::from_secs(4)), "the last that failed was sent after {last:?}");
    for (_, status) in &failures {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(status.message().contains("frozen at 127.0.0.1:"), "{status}");
    }
    frozen.thaw();
    answered_by(&channel, &["alive", "frozen"]).await;
    // What was sent to it before it was frozen may be processed when it goes on, but is never sent to another one.
    outcomes.none_processed_twice(&[frozen.processed().await, alive.processed().await]);
}

pub(crate) async fn a_slow_answer_is_not_taken_for_silence() {
    let site = Site::new();
    let (slow, _entry) = site.start("slow").await;
    let channel = site.channel();
    answered_by(&channel, &["slow"]).await;
    let long = tokio::spawn({
        let channel = channel.clone();
        let request = Ask { takes: Duration::from_secs(6), number: Some(u64::MAX), limit: None };
        async move { ask(&channel, request).await }
    });
    sleep(Duration::from_secs(3)).await;
    assert!(!long.is_finished());
    for _ in 0..10 {
        ask(&channel, Ask::default()).await.expect("an answer beside the slow one");
    }
    long.await.expect("no panic").expect("the slow answer");
    assert_eq!(slow.processed().await[&u64::MAX], 1);
}

pub(crate) async fn a_request_without_a_time_limit_on_a_frozen_server_fails() {
    let site = Site::new();
    let (frozen, _entry) = site.start("frozen").await;
    let channel = site.channel();
    answered_by(&channel, &["frozen"]).await;
    let long = tokio::spawn({
        let channel = channel.clone();
        let request = Ask { takes: Duration::from_hours(1), ..Ask::default() };
        async move { ask(&channel, request).await }
    });
    sleep(Duration::from_millis(200)).await;
    frozen.freeze();
    let status = timeout(SOON, long).await.expect("in time").expect("no panic").expect_err("it is frozen");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("may have been processed"), "{status}");
}
