//! What a failed request means: whether it can have been processed, and the status that its caller gets.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

use h2::Reason;
use tonic::{Code, ConnectError, Status, TimeoutExpired};

/// What became of a request that was not answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// It was not sent, or the server said that it has not processed it and takes no more on this connection.
    Unprocessed,
    /// The server refused this one request before it processed it.
    Refused,
    /// The connection broke; it may have been processed.
    Unknown,
    /// The time limit of its endpoint passed.
    Late,
    /// It failed for a reason of its own; the connection is good.
    Failed,
}

/// A request that was not answered.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) fate: Fate,
    error: tonic::transport::Error,
}

impl Failure {
    /// `written`: whether anything was written to the connection after the request was handed over.
    pub(super) fn new(error: tonic::transport::Error, written: bool) -> Self {
        let fate = match fate(&error) {
            Fate::Unknown if !written => Fate::Unprocessed,
            fate => fate,
        };
        Self { fate, error }
    }

    /// The connection did not take the request.
    pub(super) fn unsent(error: tonic::transport::Error) -> Self {
        Self { fate: Fate::Unprocessed, error }
    }

    /// The status for the caller.
    pub(super) fn into_status(self, server: &str) -> Status {
        let said = chain(&self.error);
        let (code, message) = match self.fate {
            Fate::Late => (Code::DeadlineExceeded, format!("{server} did not answer in time")),
            Fate::Refused => (Code::Unavailable, format!("{server} refused the request: {said}")),
            Fate::Unprocessed => (Code::Unavailable, format!("{server} did not process the request: {said}")),
            Fate::Unknown => {
                let message = format!("the connection to {server} broke; the request may have been processed: {said}");
                (Code::Unavailable, message)
            }
            Fate::Failed => return Status::from_error(Box::new(self.error)),
        };
        let mut status = Status::new(code, message);
        status.set_source(Arc::new(self.error));
        status
    }
}

/// Reads the fate of a request from the errors of tonic, hyper and h2.
fn fate(error: &(dyn Error + 'static)) -> Fate {
    for cause in causes(error) {
        if cause.is::<ConnectError>() {
            return Fate::Unprocessed;
        }
        if cause.is::<TimeoutExpired>() {
            return Fate::Late;
        }
        if cause.is::<io::Error>() {
            return Fate::Unknown;
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            // Only a request that was still waiting to be sent is cancelled.
            if error.is_canceled() {
                return Fate::Unprocessed;
            }
            // A body that its caller could not provide.
            if error.is_user() {
                return Fate::Failed;
            }
            // The timeout is that of a ping.
            if error.is_timeout() || error.is_closed() {
                return Fate::Unknown;
            }
        }
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return match error.reason() {
                // With a GOAWAY of the server fail only the requests that come after the last one it has processed.
                _ if error.is_go_away() && error.is_remote() => Fate::Unprocessed,
                _ if error.is_go_away() || error.is_io() => Fate::Unknown,
                Some(Reason::REFUSED_STREAM) if error.is_remote() => Fate::Refused,
                _ => Fate::Failed,
            };
        }
    }
    Fate::Failed
}

/// The messages of an error and of what caused it.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut before) = (String::new(), String::new());
    for cause in causes(error) {
        let message = cause.to_string();
        // Some wrappers say only that there was an error, or what the next one says.
        if message == "transport error" || message == before {
            continue;
        }
        let separator = if text.is_empty() { "" } else { ": " };
        let _ = write!(text, "{separator}{message}");
        before = message;
    }
    text
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
