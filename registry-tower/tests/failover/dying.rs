//! Servers that are killed, with their entries still registered.

use std::time::Duration;

use test_servers::free_port;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use crate::callers::{Ask, Callers, SOON, Site, answered_by, ask};

/// Requests that take a while, so that some are in flight at every moment.
const REQUEST: Ask = Ask { number: None, takes: Duration::from_millis(20), limit: None };

pub(crate) async fn a_killed_server_fails_at_most_the_requests_in_flight() {
    let site = Site::new();
    let (mut one, _one) = site.start("one").await;
    let (two, _two) = site.start("two").await;
    let channel = site.channel();
    answered_by(&channel, &["one", "two"]).await;
    let mut all_failures = 0;
    for round in 0..3 {
        let callers = Callers::start(8, &channel, REQUEST);
        callers.answered(100).await;
        let in_flight = callers.in_flight();
        one.kill();
        callers.answered(200).await;
        let outcomes = callers.end().await;
        let failures = outcomes.failures();
        println!("round {round}: {} failed of {}, {in_flight} were in flight", failures.len(), outcomes.0.len());
        assert!(failures.len() <= in_flight, "{} failed, {in_flight} were in flight", failures.len());
        for (_, status) in &failures {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            assert!(status.message().contains("one at 127.0.0.1:"), "{status}");
            assert!(status.message().contains("may have been processed"), "{status}");
        }
        all_failures += failures.len();
        let answers = outcomes.answers();
        assert!(answers["one"] >= 10 && answers["two"] >= 200, "{answers:?}");
        outcomes.none_processed_twice(&[one.processed().await, two.processed().await]);
        one.start_again();
        answered_by(&channel, &["one", "two"]).await;
    }
    assert!(all_failures > 0, "nothing was in flight when it was killed");
}

pub(crate) async fn three_of_four_dead_servers_get_no_requests() {
    let site = Site::new();
    let (alive, _alive) = site.start("alive").await;
    let mut dead = Vec::new();
    for name in ["dead-1", "dead-2", "dead-3"] {
        dead.push(site.start(name).await);
    }
    let channel = site.channel();
    answered_by(&channel, &["alive", "dead-1", "dead-2", "dead-3"]).await;
    let callers = Callers::start(8, &channel, REQUEST);
    callers.answered(100).await;
    let mut in_flight = Vec::new();
    for (server, _) in &mut dead {
        in_flight.push(callers.in_flight());
        server.kill();
    }
    callers.answered(200).await;
    let outcomes = callers.end().await;
    for (number, in_flight) in in_flight.into_iter().enumerate() {
        let server = format!("dead-{} at 127.0.0.1:", number + 1);
        let failures = outcomes.failures();
        let failed = failures.iter().filter(|(_, status)| status.message().contains(&server)).count();
        assert!(failed <= in_flight, "{failed} failed at {server}, {in_flight} were in flight");
    }
    let mut processed = vec![alive.processed().await];
    for (server, _) in &dead {
        processed.push(server.processed().await);
    }
    outcomes.none_processed_twice(&processed);
    // Nothing is in flight now, so nothing fails.
    for _ in 0..200 {
        assert_eq!(ask(&channel, Ask::default()).await.expect("an answer"), "alive");
    }
}

pub(crate) async fn servers_that_refuse_connections_get_no_requests() {
    let site = Site::new();
    let (_alive, _entry) = site.start("alive").await;
    let mut entries = Vec::new();
    for name in ["refuses-1", "refuses-2", "refuses-3"] {
        entries.push(site.register(name, free_port()).await);
    }
    let channel = site.channel();
    for _ in 0..200 {
        assert_eq!(ask(&channel, Ask::default()).await.expect("an answer"), "alive");
    }
}

pub(crate) async fn requests_fail_while_all_servers_are_down_and_succeed_when_one_is_back() {
    let site = Site::new();
    let (mut one, _one) = site.start("one").await;
    let (mut two, _two) = site.start("two").await;
    let channel = site.channel();
    answered_by(&channel, &["one", "two"]).await;
    one.kill();
    two.kill();

    // The limit of the channel, which is four seconds unless it is set.
    let began = Instant::now();
    let status = loop {
        // Requests that were sent before the end was noticed may fail otherwise.
        let status = ask(&channel, Ask::default()).await.expect_err("no server is up");
        if !status.message().contains("may have been processed") {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!((Duration::from_secs(4)..SOON).contains(&began.elapsed()), "after {:?}", began.elapsed());
    for server in ["one", "two"] {
        assert!(status.message().contains(&format!("{server} at 127.0.0.1:")), "{status}");
    }
    assert!(status.message().contains("Connection refused"), "{status}");
    let impatient = channel.clone().wait_at_most(Duration::ZERO);
    let began = Instant::now();
    let status = ask(&impatient, Ask::default()).await.expect_err("no server is up");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(began.elapsed() < Duration::from_secs(4), "after {:?}", began.elapsed());

    // The limit of the request.
    let limit = Some(Duration::from_millis(300));
    let patient = channel.clone().wait_at_most(SOON);
    let began = Instant::now();
    let status = ask(&patient, Ask { limit, ..Ask::default() }).await.expect_err("no server is up");
    assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("Connection refused"), "{status}");

    // Long enough for pauses that grow without a bound to be longer than what is waited for.
    sleep(Duration::from_secs(10)).await;
    let waiting = tokio::spawn(async move { ask(&patient, Ask::default()).await });
    sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "a request waits");
    two.start_again();
    let began = Instant::now();
    let answer = timeout(SOON, waiting).await.expect("in time").expect("no panic");
    assert_eq!(answer.expect("an answer"), "two");
    println!("back in use after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(4), "after {:?}", began.elapsed());
    answered_by(&channel, &["two"]).await;
}

pub(crate) async fn an_empty_registry_is_an_error_until_a_server_registers() {
    let site = Site::new();
    let channel = site.channel();
    let status = ask(&channel, Ask::default()).await.expect_err("no server is up");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("no server is registered in /clusters/greeter"), "{status}");
    for _ in 0..2 {
        let (server, entry) = site.start("one").await;
        answered_by(&channel, &["one"]).await;
        entry.deregister().await.expect("deregistered");
        let gone = async {
            let channel = channel.clone().wait_at_most(Duration::ZERO);
            while ask(&channel, Ask::default()).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, gone).await.expect("it gets nothing more");
        drop(server);
    }
}

pub(crate) async fn a_server_that_listens_late_and_has_a_name_is_used_when_it_does() {
    let site = Site::new();
    let port = free_port();
    // Its first address may be that of IPv6, on which no server listens.
    let _entry = site.register_at("late", "localhost", port).await;
    let channel = site.channel();
    let patient = channel.clone().wait_at_most(SOON);
    let waiting = tokio::spawn(async move { ask(&patient, Ask::default()).await });
    sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "a request waits");
    let _server = crate::server::Server::start_at("late", port);
    assert_eq!(timeout(SOON, waiting).await.expect("in time").expect("no panic").expect("an answer"), "late");
}

pub(crate) async fn a_deregistered_server_finishes_its_requests_and_gets_no_new_ones() {
    let site = Site::new();
    let (leaving, entry) = site.start("leaving").await;
    let (_staying, _staying_entry) = site.start("staying").await;
    let channel = site.channel();
    answered_by(&channel, &["leaving", "staying"]).await;
    let request = Ask { takes: Duration::from_secs(3), ..Ask::default() };
    let long: Vec<_> = (0..16)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { ask(&channel, request).await })
        })
        .collect();
    sleep(Duration::from_millis(200)).await;
    entry.deregister().await.expect("deregistered");
    answered_by(&channel, &["staying"]).await;
    let mut finished = 0;
    for task in long {
        finished += usize::from(task.await.expect("no panic").expect("an answer") == "leaving");
    }
    assert!(finished > 0, "no request was open there");
    drop(leaving);
    answered_by(&channel, &["staying"]).await;
}
