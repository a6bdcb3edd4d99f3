//! What etcd, gRPC and TLS say when something fails, and what follows from it.

use std::error::Error as StdError;
use std::time::Duration;

use registry_core::{Error, ErrorKind, printable};
use tonic::{Code, Status};

/// What is to be done after a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The cluster has answered; another endpoint would say the same.
    Final,
    /// This endpoint cannot serve, and has not carried the request out.
    NotDone,
    /// Nobody knows whether the request was carried out.
    Unknown,
    /// The server does not accept who we are. It may accept us with a token or a certificate of now.
    Refused,
}

/// Why one request to one endpoint failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
}

pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: ErrorKind, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { kind, verdict, reason: reason.into() }
    }

    /// The server has answered what the protocol does not allow.
    pub(crate) fn unexpected(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unexpected, Verdict::Final, reason)
    }

    pub(crate) fn compacted(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Compacted, Verdict::Final, reason)
    }

    /// The endpoint did not answer in time.
    pub(crate) fn silent(limit: Duration) -> Self {
        Self::new(ErrorKind::Timeout, Verdict::Unknown, format!("no answer within {limit:.1?}"))
    }

    /// The connection ended before the answer came.
    pub(crate) fn ended() -> Self {
        Self::new(ErrorKind::Unavailable, Verdict::Unknown, "the server ended the connection")
    }

    /// Adds what may be the matter.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.reason = format!("{} ({hint})", self.reason);
        self
    }

    /// The server is something else than an etcd, as far as one can see.
    pub(crate) fn not_etcd(self, hint: &str) -> Self {
        let reason = format!("the server does not speak the etcd v3 protocol ({hint}): {}", self.reason);
        Self::new(ErrorKind::Unexpected, Verdict::NotDone, reason)
    }

    /// True when the next endpoint should be used from now on.
    pub(crate) fn blames_endpoint(&self) -> bool {
        matches!(self.verdict, Verdict::NotDone | Verdict::Unknown)
    }

    /// True when the server was reached and closed the connection instead of answering.
    pub(crate) fn hung_up(&self) -> bool {
        (self.kind, self.verdict) == (ErrorKind::Unavailable, Verdict::Unknown)
    }

    /// True when other certificates, or another password, could make a difference.
    pub(crate) fn may_be_of_files(&self) -> bool {
        self.blames_endpoint() || self.kind == ErrorKind::Unauthenticated
    }

    /// The error for the caller; `subject` says at which endpoint and for which key.
    pub(crate) fn into_error(self, operation: &'static str, subject: &str) -> Error {
        Error::new(self.kind, format!("{subject}: {}", self.reason)).during(operation)
    }

    /// What a server says in words, as a status or as the reason why it cancelled a watch.
    ///
    /// The words are those of etcd's `rpctypes`, which have not changed since 3.0; the codes did.
    pub(crate) fn said(code: Code, text: &str) -> Self {
        use ErrorKind as Kind;
        let has = |words: &str| text.contains(words);
        let shown = printable(text);
        let is = |kind, verdict| Self::new(kind, verdict, shown.as_str());
        if has("invalid auth token")
            || has("revision of auth store is old")
            // Authentication was switched on after we had asked for a token in vain.
            || has("user name is empty")
            || has("user name not found")
        {
            is(Kind::Unauthenticated, Verdict::Refused)
        } else if has("authentication failed") {
            is(Kind::Unauthenticated, Verdict::Final)
        } else if has("permission denied") || has("PermissionDenied") || code == Code::PermissionDenied {
            // To a watch, earlier releases say this of a token that is stale or missing.
            is(Kind::PermissionDenied, Verdict::Refused)
        } else if has("has been compacted") {
            is(Kind::Compacted, Verdict::Final)
        } else if has("no leader") || has("too many requests") || has("learner") || has("corrupt") {
            is(Kind::Unavailable, Verdict::NotDone)
        } else if has("database space exceeded") {
            let reason = format!(
                "{shown} (NOSPACE: the server's database is full; compact and defragment it, then disarm the alarm)"
            );
            Self::new(Kind::Unavailable, Verdict::Final, reason)
        } else if has("request is too large") || has("TTL is too large") || has("too large lease TTL") {
            is(Kind::InvalidInput, Verdict::Final)
        } else if has("requested lease not found") {
            is(Kind::LeaseLost, Verdict::Final)
        } else if code == Code::Unimplemented {
            let reason =
                format!("the server does not speak the etcd v3 protocol (is it an etcd, of 3.4 or later?): {shown}");
            Self::new(Kind::Unexpected, Verdict::NotDone, reason)
        } else {
            match code {
                Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Aborted | Code::Internal => {
                    is(Kind::Unavailable, Verdict::Unknown)
                }
                Code::DeadlineExceeded => is(Kind::Timeout, Verdict::Unknown),
                Code::Unauthenticated => is(Kind::Unauthenticated, Verdict::Refused),
                _ => Self::unexpected(format!("{code:?}: {shown}")),
            }
        }
    }

    /// What went wrong between us and the server: the innermost cause says most.
    fn transport(code: Code, error: &(dyn StdError + 'static)) -> Self {
        let reason = causes(error);
        let failed_to_connect = chain(error).any(|cause| cause.downcast_ref::<tonic::ConnectError>().is_some());
        let kind = if code == Code::DeadlineExceeded { ErrorKind::Timeout } else { ErrorKind::Unavailable };
        let silent_to_tls = reason.contains("handshake eof");
        let failure = Self::new(kind, if failed_to_connect { Verdict::NotDone } else { Verdict::Unknown }, reason);
        if silent_to_tls { failure.with_hint("does the server speak TLS?") } else { failure }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match status.source() {
            Some(source) => Self::transport(status.code(), source),
            None => Self::said(status.code(), status.message()),
        }
    }
}

impl From<etcd_client::Error> for Failure {
    fn from(error: etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => status.into(),
            etcd_client::Error::TransportError(error) => Self::transport(Code::Unavailable, &error),
            // What remains concerns the client's own channels and arguments; a new connection is the remedy.
            other => Self::new(ErrorKind::Unavailable, Verdict::Unknown, printable(&other.to_string())),
        }
    }
}

/// The error itself and everything that led to it, from the outside in.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// The chain as one line, without what repeats or says nothing.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut reason = String::new();
    for text in chain(error).map(ToString::to_string) {
        if text == "transport error" || reason.contains(&text) {
            continue;
        }
        if !reason.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&text);
    }
    if reason.is_empty() { "the connection failed".into() } else { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_say() {
        use ErrorKind as Kind;
        for (code, text, kind, verdict) in [
            (Code::Unauthenticated, "etcdserver: invalid auth token", Kind::Unauthenticated, Verdict::Refused),
            (
                Code::InvalidArgument,
                "etcdserver: revision of auth store is old",
                Kind::Unauthenticated,
                Verdict::Refused,
            ),
            (Code::InvalidArgument, "etcdserver: user name is empty", Kind::Unauthenticated, Verdict::Refused),
            (
                Code::Ok,
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                Kind::PermissionDenied,
                Verdict::Refused,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                Kind::Compacted,
                Verdict::Final,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                Kind::Unauthenticated,
                Verdict::Final,
            ),
            (Code::Unavailable, "etcdserver: no leader", Kind::Unavailable, Verdict::NotDone),
            (Code::Unavailable, "etcdserver: leader changed", Kind::Unavailable, Verdict::Unknown),
            (Code::Unavailable, "etcdserver: request timed out", Kind::Unavailable, Verdict::Unknown),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", Kind::Unavailable, Verdict::Final),
            (Code::InvalidArgument, "etcdserver: request is too large", Kind::InvalidInput, Verdict::Final),
            (Code::NotFound, "etcdserver: requested lease not found", Kind::LeaseLost, Verdict::Final),
            (Code::Unimplemented, "unknown service etcdserverpb.KV", Kind::Unexpected, Verdict::NotDone),
            (Code::OutOfRange, "decoded message length too large", Kind::Unexpected, Verdict::Final),
        ] {
            let failure = Failure::said(code, text);
            assert_eq!((failure.kind, failure.verdict), (kind, verdict), "{text}");
            assert!(failure.reason.contains(text), "{}", failure.reason);
        }
    }

    #[test]
    fn a_hostile_server_writes_on_no_terminal() {
        let said = format!("\u{1b}[2J\n etcdserver: permission denied{}", "x".repeat(10_000));
        let failure = Failure::from(Status::permission_denied(said));
        assert_eq!(failure.kind, ErrorKind::PermissionDenied);
        assert!(failure.reason.len() < 300 && !failure.reason.contains(char::is_control), "{}", failure.reason);
    }

    #[test]
    fn names_every_cause_once() {
        let inner = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        let failure = Failure::from(etcd_client::Error::GRpcStatus(Status::from_error(Box::new(tonic::ConnectError(
            Box::new(inner),
        )))));
        assert_eq!(failure.verdict, Verdict::NotDone);
        assert_eq!(failure.reason.matches("UnknownIssuer").count(), 1, "{}", failure.reason);
    }
}
