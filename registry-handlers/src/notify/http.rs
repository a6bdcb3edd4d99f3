//! Telling by an HTTP request.

use std::fmt;
use std::time::Duration;

use registry_credentials::{trust_nobody, trust_system};
use registry_http::{builder, reason};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};

use crate::news::Message;
use crate::spec::NotifySpec;
use crate::text::shown;

pub(super) struct Http {
    client: Client,
    url: Url,
}

impl Http {
    pub(super) fn new(spec: &NotifySpec) -> Result<Self, String> {
        let url = spec.url.as_deref().ok_or("`url` is missing")?;
        // The text itself is not shown: it may hold a secret.
        let url: Url = url.parse().map_err(|error| format!("its `url` is not valid: {error}"))?;
        let tls = match url.scheme() {
            // An image without certificates can still use plain HTTP.
            "http" => trust_nobody(),
            "https" => trust_system(),
            other => return Err(format!("its `url` begins with {other:?}; http and https are known")),
        };
        let client = builder(tls.map_err(|error| error.to_string())?).build().map_err(explained)?;
        Ok(Self { client, url })
    }

    /// Sends the model; anything but 2xx is a failure. The answer's body is not read.
    pub(super) async fn post(&self, message: &Message, timeout: Duration) -> Result<(), String> {
        let json = message.json().map_err(|error| format!("cannot write the model: {error}"))?;
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").timeout(timeout);
        let answer = request.body(json).send().await.map_err(|error| format!("{self}: {}", explained(error)))?;
        let status = answer.status();
        let redirect = if status.is_redirection() { ", and redirects are not followed" } else { "" };
        if status.is_success() { Ok(()) } else { Err(format!("{self} answered {status}{redirect}")) }
    }
}

/// Without user, password and query: they may be secret.
impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{}://{host}{port}{}", self.url.scheme(), self.url.path())
    }
}

fn explained(error: reqwest::Error) -> String {
    shown(&reason(error), 400)
}

#[cfg(test)]
mod tests;
