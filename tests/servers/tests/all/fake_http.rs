//! The server that gives one answer to everything.

use std::time::Duration;

use test_servers::{fake_http, free_port, http};

#[tokio::test]
async fn answers_everything_alike() {
    let server = fake_http(503, "text/html", "<h1>Sorry</h1>").await.unwrap();
    let port = server.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    for (method, form) in [("GET", ""), ("PUT", "value=1"), ("POST", &*"x".repeat(100_000))] {
        let answer = http::request(Duration::from_secs(5), port, method, "/v2/keys/a?b=c", form).await.unwrap();
        assert_eq!(answer, (503, "<h1>Sorry</h1>".to_owned()));
    }
    assert_eq!(server.requests(), 3);

    drop(server);
    while http::request(Duration::from_secs(5), port, "GET", "/", "").await.is_ok() {
        tokio::task::yield_now().await; // its task is ended when the runtime comes to it
    }
}

#[test]
fn a_free_port_is_handed_out_once() {
    let mut ports: Vec<_> = (0..100).map(|_| free_port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 100);
}
