//! What the agent does for a service: registering, keeping it well, and letting it go.
//!
//! Every registration has an identity of its own, for the agent silently replaces a service by another one with the same
//! identity. What the agent knows reaches the catalog a moment later, so writes are looked for there.

use std::time::Duration;

use registry_core::{Bytes, Error, ErrorKind, Index, Key, Lease, Result, check_value, printable};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use crate::answer::Answer;
use crate::catalog::Services;
use crate::client::Request;
use crate::paths::encode;
use crate::proof::needs;
use crate::service::{AgentService, Definition, Instance, is_evicted};

/// How long what the agent knows may take to reach the catalog.
const ARRIVAL: Duration = Duration::from_secs(5);
/// After two looks that took less than this together, one that is not there yet may be one that cannot be seen.
const DUBIOUS: Duration = Duration::from_millis(20);
/// What an agent says of a service or check that it does not know; the words differ between versions.
const UNKNOWN: &[&str] =
    &["does not have associated TTL", "Unknown check", "unknown check", "Unknown service", "unknown service"];

impl Services {
    pub(crate) async fn register(&self, key: &Key, value: &Bytes, ttl: Duration) -> Result<Lease> {
        let service = self.service(&key.dir());
        let id = format!("{service}-{}", uuid::Uuid::new_v4());
        self.define(key, &Definition::new(&id, &service, key, value, ttl)?).await?;
        let arrived = self.until(key, Some(&id), |all| all.iter().find(|it| it.service.id == id).cloned()).await;
        match arrived {
            Ok(instance) => {
                let token = Index::new(0, instance.service.create_index);
                Ok(Lease::new(key.clone(), id, token, ttl))
            }
            Err(error) => {
                let _ = self.forget(key, &id).await;
                Err(error)
            }
        }
    }

    pub(crate) async fn renew(&self, lease: &Lease) -> Result<()> {
        let key = lease.key();
        let path = format!("/v1/agent/service/{}", encode(lease.id()));
        let answer = self.ask(Method::GET, path, key, Vec::new()).await?;
        if is_unknown(&answer) {
            return Err(lost(key));
        }
        if answer.status != StatusCode::OK {
            return Err(answer.unexpected(key.as_str()));
        }
        let found: AgentService = answer.json(key.as_str())?;
        if is_evicted(found.meta.as_ref()) {
            return Err(Error::new(ErrorKind::Evicted, format!("{key}: the service was evicted")));
        }
        let path = format!("/v1/agent/check/pass/{}", encode(&format!("service:{}", lease.id())));
        let answer = self.ask(Method::PUT, path, key, Vec::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            _ if is_unknown(&answer) => Err(lost(key)),
            _ => Err(answer.unexpected(key.as_str())),
        }
    }

    pub(crate) async fn update(&self, lease: &Lease, value: &Bytes) -> Result<Lease> {
        let key = lease.key();
        check_value(key, value)?;
        let definition = Definition::new(lease.id(), &self.service(&key.dir()), key, value, lease.ttl())?;
        self.renew(lease).await?;
        self.define(key, &definition).await?;
        self.until(key, Some(lease.id()), |all| {
            all.iter().find(|it| it.service.id == lease.id() && it.value() == *value).cloned()
        })
        .await?;
        Ok(lease.clone())
    }

    pub(crate) async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.forget(lease.key(), lease.id()).await?;
        self.until(lease.key(), Some(lease.id()), |all| all.iter().all(|it| it.service.id != lease.id()).then_some(()))
            .await?;
        // One that may not be seen looks like one that is gone.
        self.prove(&self.service(&lease.key().dir())).await
    }

    /// Marks a service of this agent, for its owner to find; without an owner the server removes it after a while.
    pub(crate) async fn remove(&self, key: &Key) -> Result<bool> {
        let service = self.service(&key.dir());
        let (_, all) = self.instances(&service, None, None).await?;
        let is_meant = |it: &&Instance| !it.is_evicted() && it.name().is_ok_and(|name| name == key.name());
        let mut found = false;
        for instance in all.iter().filter(is_meant) {
            let path = format!("/v1/agent/service/{}", encode(&instance.service.id));
            if is_unknown(&self.ask(Method::GET, path, key, Vec::new()).await?) {
                let node = &instance.node.node;
                return Err(Error::unsupported(format!(
                    "{key}: it is registered with the agent of the node {node}, which would register it again: evict it there"
                )));
            }
            self.define(key, &Definition::evicted(&service, instance)).await?;
            found = true;
        }
        if found {
            self.until(key, None, |all| (!all.iter().any(|it| is_meant(&it))).then_some(())).await?;
        }
        Ok(found)
    }

    /// Registers, or replaces what has the same identity.
    async fn define(&self, key: &Key, definition: &Definition) -> Result<()> {
        let body = serde_json::to_vec(definition)
            .map_err(|error| Error::invalid_input(format!("{key}: it cannot be written")).because(error))?;
        let write = format!(r#"service "{}" {{ policy = "write" }}"#, self.service(&key.dir()));
        let answer = self.ask(Method::PUT, "/v1/agent/service/register".to_owned(), key, body).await;
        let answer = answer.map_err(needs(&write))?;
        match answer.status {
            StatusCode::OK => Ok(()),
            // A tag or name that Consul does not take.
            StatusCode::BAD_REQUEST => {
                let said = printable(&String::from_utf8_lossy(&answer.body));
                Err(Error::invalid_input(format!("{key}: Consul does not take it: {said}")))
            }
            _ => Err(answer.unexpected(key.as_str())),
        }
    }

    async fn forget(&self, key: &Key, id: &str) -> Result<()> {
        let path = format!("/v1/agent/service/deregister/{}", encode(id));
        let answer = self.ask(Method::PUT, path, key, Vec::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            _ if is_unknown(&answer) => Ok(()),
            _ => Err(answer.unexpected(key.as_str())),
        }
    }

    async fn ask(&self, method: Method, path: String, key: &Key, body: Vec<u8>) -> Result<Answer> {
        let mut request = Request::new(method, path, key.as_str()).body(body);
        request.tolerated = UNKNOWN;
        self.client.call(&request).await
    }

    /// Waits until the catalog shows what is wanted among the instances that are well, or the one that has this identity.
    async fn until<T>(
        &self,
        key: &Key,
        only: Option<&str>,
        mut wanted: impl FnMut(&[Instance]) -> Option<T>,
    ) -> Result<T> {
        let (service, begun) = (self.service(&key.dir()), Instant::now());
        let mut proven = false;
        let mut wait = Duration::from_millis(5);
        loop {
            let (_, all) = self.instances(&service, only, None).await?;
            if let Some(it) = wanted(&all) {
                return Ok(it);
            }
            // What may not be seen never comes: that is said soon.
            if !proven && wait >= DUBIOUS {
                self.prove(&service).await?;
                proven = true;
            }
            if begun.elapsed() > ARRIVAL {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!("{key}: what the agent was told did not reach the catalog within {ARRIVAL:?}"),
                ));
            }
            sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(250));
        }
    }
}

fn is_unknown(answer: &Answer) -> bool {
    let said = String::from_utf8_lossy(&answer.body);
    answer.status != StatusCode::OK && UNKNOWN.iter().any(|words| said.contains(words))
}

fn lost(key: &Key) -> Error {
    Error::new(ErrorKind::LeaseLost, format!("{key}: the agent does not know the service any more"))
}
