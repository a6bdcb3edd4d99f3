//! What a failed request means: whether it can have been processed, and what its caller is told.

use std::error::Error;
use std::fmt::Write;

use h2::Reason;
use tonic::{Code, ConnectError, Status, TimeoutExpired};

/// Whether a server can have processed a request that failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Processed {
    /// It was not sent, or the server said that it has not looked at it and takes no more on this connection.
    Never,
    /// The server refused this one request before it looked at it.
    Refused,
    /// Nobody knows.
    Maybe,
}

/// Reads that from the errors of tonic, hyper and h2.
pub(super) fn processed(error: &(dyn Error + 'static)) -> Processed {
    for cause in causes(error) {
        if cause.is::<ConnectError>() {
            return Processed::Never;
        }
        // Only requests that were still waiting to be sent are cancelled.
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return Processed::Never;
        }
        let Some(error) = cause.downcast_ref::<h2::Error>() else { continue };
        // With a GOAWAY of the server fail only the requests that come after the last one it has processed.
        if error.is_go_away() && error.is_remote() {
            return Processed::Never;
        }
        if error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) {
            return Processed::Refused;
        }
    }
    Processed::Maybe
}

/// The status for a request that may have been processed, or was refused too often.
pub(super) fn status(error: tonic::transport::Error, server: &str) -> Status {
    let timed_out = causes(&error).any(<dyn Error>::is::<TimeoutExpired>);
    let broken = causes(&error).any(|cause| {
        cause.downcast_ref::<h2::Error>().is_some_and(|error| error.is_io() || error.is_go_away())
            || cause.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_timeout() || error.is_closed())
    });
    let refused = processed(&error) == Processed::Refused;
    let said = chain(&error);
    let (code, message) = if timed_out {
        (Code::DeadlineExceeded, format!("{server} did not answer in time"))
    } else if refused {
        (Code::Unavailable, format!("{server} refused the request: {said}"))
    } else if broken {
        let message =
            format!("the connection to {server} broke before it answered; the request may have been processed");
        (Code::Unavailable, format!("{message}: {said}"))
    } else {
        return Status::from_error(Box::new(error));
    };
    let mut status = Status::new(code, message);
    status.set_source(std::sync::Arc::new(error));
    status
}

/// The messages of an error and of what caused it.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut before = String::new();
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
