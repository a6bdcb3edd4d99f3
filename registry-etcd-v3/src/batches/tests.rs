use etcd_client::proto::{PbKeyValue, PbResponseHeader};
use registry_core::{Dir, ErrorKind};

use super::*;
use crate::error::Verdict;

fn batches(true_progress: bool) -> Batches {
    let scope = Scope::from(Dir::new("/a").unwrap());
    Batches::new(Paths::new(""), scope, Index::new(7, 10), true_progress)
}

fn message(revision: i64, events: &[(i32, &str, i64)]) -> PbWatchResponse {
    let events = events.iter().map(|(kind, key, revision)| {
        let record = PbKeyValue {
            key: (*key).into(),
            create_revision: 3,
            mod_revision: *revision,
            value: "v".into(),
            ..Default::default()
        };
        PbEvent { r#type: *kind, kv: Some(record), ..Default::default() }
    });
    let header = PbResponseHeader { cluster_id: 7, revision, ..Default::default() };
    PbWatchResponse { header: Some(header), events: events.collect(), ..Default::default() }
}

fn fragment(revision: i64, events: &[(i32, &str, i64)]) -> PbWatchResponse {
    PbWatchResponse { fragment: true, ..message(revision, events) }
}

/// What is ready: the position and how many changes, in order.
fn ready(batches: &mut Batches) -> Vec<(u64, usize)> {
    batches.ready.drain(..).map(|batch| (batch.index.position(), batch.changes.len())).collect()
}

#[test]
fn finding_6_a_revision_in_fragments_is_one_batch() {
    let mut it = batches(true);
    it.take(fragment(40, &[(0, "/a/1", 11), (1, "/a/2", 12)])).unwrap();
    assert_eq!(ready(&mut it), [(11, 1)]);
    // A notification in between does not tell the half revision.
    it.take(message(40, &[])).unwrap();
    assert_eq!(ready(&mut it), [(11, 0)]);
    it.take(fragment(40, &[(1, "/a/3", 12)])).unwrap();
    assert_eq!(ready(&mut it), []);
    it.take(message(40, &[(1, "/a/4", 12)])).unwrap();
    assert_eq!(ready(&mut it), [(12, 3)]);
}

#[test]
fn row_3_15_the_index_is_that_of_the_last_event() {
    let mut it = batches(true);
    it.take(message(5000, &[(0, "/a/1", 11), (0, "/a/1", 12), (0, "/a/2", 12)])).unwrap();
    assert_eq!(ready(&mut it), [(11, 1), (12, 2)]);
}

#[test]
fn what_was_told_is_not_told_again() {
    let mut it = batches(true);
    it.take(message(12, &[(0, "/a/1", 9), (0, "/a/1", 10), (0, "/a/1", 11)])).unwrap();
    it.take(message(12, &[(0, "/a/1", 11), (1, "/a/1", 12)])).unwrap();
    assert_eq!(ready(&mut it), [(11, 1), (12, 1)]);
    let failure = {
        it.take(fragment(20, &[(0, "/a/1", 15)])).unwrap();
        it.take(message(20, &[(0, "/a/1", 14)])).unwrap_err()
    };
    assert_eq!(failure.kind, ErrorKind::Unexpected);
}

#[test]
fn row_3_17_progress_of_an_old_server_is_a_sign_of_life_only() {
    let mut old = batches(false);
    old.take(message(5001, &[])).unwrap();
    assert_eq!(ready(&mut old), [(10, 0)]);
    let mut good = batches(true);
    good.take(message(5001, &[])).unwrap();
    assert_eq!(ready(&mut good), [(5001, 0)]);
    good.take(message(5002, &[(0, "/a/1", 5002)])).unwrap();
    assert_eq!(ready(&mut good), [(5002, 1)]);
}

#[test]
fn row_3_19_another_history_is_a_gap() {
    for (cluster_id, revision) in [(8, 20), (7, 9), (0, 20), (7, -1)] {
        let header = PbResponseHeader { cluster_id, revision, ..Default::default() };
        let message = PbWatchResponse { header: Some(header), ..Default::default() };
        assert_eq!(batches(true).take(message).unwrap_err().kind, ErrorKind::Compacted, "{cluster_id} {revision}");
    }
}

#[test]
fn row_3_11_a_cancelled_watch_says_why() {
    let cancelled = |compact_revision, reason: &str| {
        let message =
            PbWatchResponse { canceled: true, compact_revision, cancel_reason: reason.into(), ..Default::default() };
        let failure = batches(true).take(message).unwrap_err();
        (failure.kind, failure.verdict)
    };
    assert_eq!(cancelled(5, ""), (ErrorKind::Compacted, Verdict::Final));
    let denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    assert_eq!(cancelled(0, denied), (ErrorKind::PermissionDenied, Verdict::Refused));
    let stale = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
    assert_eq!(cancelled(0, stale), (ErrorKind::Unauthenticated, Verdict::Refused));
    assert_eq!(cancelled(0, ""), (ErrorKind::Unavailable, Verdict::Unknown));
}

#[test]
fn row_3_21_a_bad_record_is_skipped() {
    let mut it = batches(true);
    let mut bad = message(20, &[(7, "/a/1", 11), (0, "/a/..", 12), (0, "/ab", 12), (0, "/a/ok", 13)]);
    bad.events.push(PbEvent::default());
    it.take(bad).unwrap();
    assert_eq!(ready(&mut it), [(11, 0), (12, 0), (13, 1)]);
    assert_eq!(it.take(PbWatchResponse::default()).unwrap_err().kind, ErrorKind::Unexpected);
}
