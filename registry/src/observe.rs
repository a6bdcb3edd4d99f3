//! What is counted, through the facade `metrics`. The names are part of what this crate promises.
//!
//! Without the feature `metrics` these functions do nothing.

use std::time::Duration;

use registry_core::{ErrorKind, Gap, Scope};

#[cfg(feature = "metrics")]
pub(crate) fn gap(scope: &Scope, gap: Gap) {
    let gap = match gap {
        Gap::Compacted => "compacted",
        Gap::EpochChanged => "epoch-changed",
        Gap::Lagged => "lagged",
        Gap::NoResume => "no-resume",
        _ => "other",
    };
    metrics::counter!("registry_gaps_total", "scope" => scope.to_string(), "cause" => gap).increment(1);
}

#[cfg(feature = "metrics")]
pub(crate) fn interrupted(scope: &Scope) {
    metrics::counter!("registry_interruptions_total", "scope" => scope.to_string()).increment(1);
}

#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; nobody has 2^52 members")]
pub(crate) fn members(scope: &Scope, members: usize, rejected: usize, stale: bool) {
    metrics::gauge!("registry_members", "scope" => scope.to_string()).set(members as f64);
    metrics::gauge!("registry_members_rejected", "scope" => scope.to_string()).set(rejected as f64);
    metrics::gauge!("registry_members_stale", "scope" => scope.to_string()).set(f64::from(u8::from(stale)));
}

#[cfg(feature = "metrics")]
pub(crate) fn request(backend: &'static str, operation: &'static str, failed: Option<ErrorKind>, took: Duration) {
    let outcome = failed.map_or_else(|| "ok".to_owned(), |kind| format!("{kind:?}"));
    let labels = [("backend", backend), ("operation", operation)];
    metrics::histogram!("registry_request_seconds", &labels).record(took.as_secs_f64());
    metrics::counter!("registry_requests_total", "backend" => backend, "operation" => operation, "outcome" => outcome)
        .increment(1);
}

#[cfg(feature = "metrics")]
pub(crate) fn watch_opened(backend: &'static str) {
    metrics::gauge!("registry_watches", "backend" => backend).increment(1.0);
}

#[cfg(feature = "metrics")]
pub(crate) fn watch_closed(backend: &'static str) {
    metrics::gauge!("registry_watches", "backend" => backend).decrement(1.0);
}

#[cfg(feature = "metrics")]
pub(crate) fn changes(backend: &'static str, count: usize) {
    metrics::counter!("registry_changes_total", "backend" => backend).increment(count as u64);
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn gap(_: &Scope, _: Gap) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn interrupted(_: &Scope) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn members(_: &Scope, _: usize, _: usize, _: bool) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn request(_: &'static str, _: &'static str, _: Option<ErrorKind>, _: Duration) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn watch_opened(_: &'static str) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn watch_closed(_: &'static str) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn changes(_: &'static str, _: usize) {}
