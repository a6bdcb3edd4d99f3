//! No call waits for ever, whatever a backend promised.

use std::time::Duration;

use tokio::time::timeout;

use crate::error::{Error, ErrorKind, Result};

/// Waits for a call at most this long, and names the operation in its error.
pub(crate) async fn limited<T>(
    limit: Duration,
    operation: &'static str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    match timeout(limit, call).await {
        Ok(result) => result.map_err(|error| error.during(operation)),
        Err(_) => Err(Error::new(ErrorKind::Timeout, format!("no answer within {limit:?}")).during(operation)),
    }
}
