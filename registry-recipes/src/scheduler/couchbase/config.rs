//! How the servers are reached, and as whom.

use std::fmt;
use std::time::Duration;

use registry_core::{Error, Result};
use reqwest::Url;

/// How a Couchbase cluster is reached, and as whom. Its `Debug` never shows the password.
#[derive(Clone)]
#[non_exhaustive]
pub struct CouchbaseConfig {
    /// `http://` or `https://` and the port of the REST API, such as `http://localhost:8091`. The host is replaced by the
    /// address of whichever node is asked; the port is, too, when that address has one.
    pub(super) url: Url,
    pub(super) user: String,
    pub(super) password: String,
    /// What an added node does, such as `kv` or `kv,index,n1ql`.
    pub services: String,
    /// After what time of silence the cluster fails a node over by itself. Whole seconds.
    pub auto_failover: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long a rebalance or a failover may take.
    pub rebalance_limit: Duration,
    /// How often its progress is asked for.
    pub poll_every: Duration,
    /// How long the server may give no good answer when it is asked for that. Then the step has failed, and is tried
    /// again through whoever is the master by then.
    pub silence_limit: Duration,
    /// Start a rebalance after a failover, without waiting for it. The cluster then forgets the node, so that it
    /// has to be given all its data again when it comes back.
    pub rebalance_after_failover: bool,
}

impl CouchbaseConfig {
    /// The defaults: the data service, automatic failover after 31 s, requests of at most 30 s, an hour for a rebalance,
    /// progress every second, a minute without an answer to that, no rebalance after a failover.
    ///
    /// # Errors
    /// `Config` for what is no such URL, or a user without a name. The message shows neither credential.
    pub fn new(url: &str, user: impl Into<String>, password: impl Into<String>) -> Result<Self> {
        let (user, password) = (user.into(), password.into());
        let url = Url::parse(url).map_err(|error| Error::config("Couchbase: the URL is not valid").because(error))?;
        let wrong = |what: &str| Err(Error::config(format!("Couchbase: {what}")));
        if !matches!(url.scheme(), "http" | "https") {
            return wrong("the URL must begin with http:// or https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("the URL must not hold credentials");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return wrong("the URL must end after the port");
        }
        if user.is_empty() || user.contains(':') {
            return wrong("the user must have a name, and one without a `:`");
        }
        if password.is_empty() {
            return wrong("the password is empty");
        }
        Ok(Self {
            url,
            user,
            password,
            services: "kv".into(),
            auto_failover: Duration::from_secs(31),
            request_timeout: Duration::from_secs(30),
            rebalance_limit: Duration::from_hours(1),
            poll_every: Duration::from_secs(1),
            silence_limit: Duration::from_mins(1),
            rebalance_after_failover: false,
        })
    }
}

impl fmt::Debug for CouchbaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CouchbaseConfig")
            .field("url", &self.url.as_str())
            .field("user", &self.user)
            .field("password", &"***")
            .field("services", &self.services)
            .field("auto_failover", &self.auto_failover)
            .field("request_timeout", &self.request_timeout)
            .field("rebalance_limit", &self.rebalance_limit)
            .field("poll_every", &self.poll_every)
            .field("silence_limit", &self.silence_limit)
            .field("rebalance_after_failover", &self.rebalance_after_failover)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_password_and_takes_none_from_a_url() {
        let config = CouchbaseConfig::new("http://localhost:8091", "admin", "hunter2").unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("admin") && !shown.contains("hunter2"), "{shown}");
        for url in [
            "",
            "localhost:8091",
            "ftp://a:1",
            "http://admin:hunter2@a:1",
            "http://a:1/pools",
            "http://a:1/?x=1",
            "http://a:hunter2",
        ] {
            let error = CouchbaseConfig::new(url, "admin", "hunter2").unwrap_err();
            assert_eq!(error.kind(), registry_core::ErrorKind::Config);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for (user, password) in [("", "x"), ("a:b", "x"), ("a", "")] {
            assert!(CouchbaseConfig::new("http://a:1", user, password).is_err());
        }
    }
}
