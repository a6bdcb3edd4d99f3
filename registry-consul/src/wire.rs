//! What goes over the wire.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A key and its value, as the server shows them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pair {
    pub(crate) key: String,
    /// Base64; nothing for an empty value, and in the answer to a transaction.
    #[serde(default)]
    pub(crate) value: Option<String>,
    pub(crate) create_index: u64,
    pub(crate) modify_index: u64,
    /// Who holds its lock; nothing or empty: nobody.
    #[serde(default)]
    pub(crate) session: Option<String>,
}

impl Pair {
    /// `None`: the value is not Base64.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.value.as_deref().unwrap_or_default()).ok()
    }

    pub(crate) fn is_held_by(&self, session: &str) -> bool {
        self.session.as_deref() == Some(session)
    }
}

/// A session that is to be made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NewSession<'a> {
    pub(crate) name: &'a str,
    #[serde(rename = "TTL")]
    pub(crate) ttl: String,
    pub(crate) lock_delay: &'static str,
    pub(crate) behavior: &'static str,
    /// None, under the old name and the new one: by default a session dies with its node's gossip.
    pub(crate) checks: [&'static str; 0],
    pub(crate) node_checks: [&'static str; 0],
}

#[derive(Debug, Deserialize)]
pub(crate) struct SessionId {
    #[serde(rename = "ID")]
    pub(crate) id: String,
}

/// One step of a transaction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Step<'a> {
    verb: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
}

impl<'a> Step<'a> {
    fn new(verb: &'static str, key: &'a str) -> Self {
        Self { verb, key, value: None, session: None }
    }

    /// Fails when there is the key.
    pub(crate) fn absent(key: &'a str) -> Self {
        Self::new("check-not-exists", key)
    }

    /// Fails when there is no such key.
    pub(crate) fn get(key: &'a str) -> Self {
        Self::new("get", key)
    }

    pub(crate) fn delete(key: &'a str) -> Self {
        Self::new("delete", key)
    }

    /// Fails unless this session holds the key.
    pub(crate) fn held(key: &'a str, session: &'a str) -> Self {
        Self { session: Some(session), ..Self::new("check-session", key) }
    }

    /// Sets the key and locks it; fails when another session holds it.
    pub(crate) fn lock(key: &'a str, session: &'a str, value: &[u8]) -> Self {
        Self { session: Some(session), value: Some(STANDARD.encode(value)), ..Self::new("lock", key) }
    }
}

/// The body of a transaction.
pub(crate) fn transaction(steps: &[Step<'_>]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Operation<'a> {
        #[serde(rename = "KV")]
        kv: &'a Step<'a>,
    }
    let operations: Vec<_> = steps.iter().map(|kv| Operation { kv }).collect();
    serde_json::to_vec(&operations).expect("strings and numbers can always be written")
}

/// The answer to a transaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Done {
    #[serde(default)]
    pub(crate) results: Option<Vec<StepResult>>,
    #[serde(default)]
    pub(crate) errors: Option<Vec<StepError>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StepResult {
    #[serde(rename = "KV")]
    pub(crate) kv: Pair,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StepError {
    pub(crate) op_index: usize,
    #[serde(default)]
    pub(crate) what: String,
}

/// A duration as Go reads it, in whole milliseconds: rounded up, so that nothing ends before its time.
pub(crate) fn duration(span: Duration) -> String {
    format!("{}ms", span.as_nanos().div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_written_as_consul_reads_it() {
        let body = transaction(&[Step::absent("a/b"), Step::lock("a/b", "id", b"x")]);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"[{"KV":{"Verb":"check-not-exists","Key":"a/b"}},{"KV":{"Verb":"lock","Key":"a/b","Value":"eA==","Session":"id"}}]"#
        );
    }

    #[test]
    fn a_duration_is_rounded_up() {
        assert_eq!(duration(Duration::from_secs(10)), "10000ms");
        assert_eq!(duration(Duration::from_secs(10) + Duration::from_nanos(1)), "10001ms");
    }

    #[test]
    fn a_pair_without_value_or_session_is_read() {
        let text = r#"{"LockIndex":0,"Key":"a","Flags":0,"Value":null,"CreateIndex":7,"ModifyIndex":9}"#;
        let pair: Pair = serde_json::from_str(text).unwrap();
        assert_eq!((pair.bytes(), pair.session.as_deref()), (Some(vec![]), None));
        let broken = Pair { value: Some("%".to_owned()), ..pair };
        assert_eq!(broken.bytes(), None);
    }
}
