//! What stands in the registry for each node.

use registry_core::{Bytes, Index, Name};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest address of a node, in bytes.
const MAX_ADDRESS: usize = 255;

/// How far a node is, or is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
pub enum State {
    /// Nothing was done yet.
    #[default]
    Unknown,
    /// It has joined the cluster, and holds no data yet.
    New,
    /// It is a member in full: the cluster was rebalanced with it.
    Clustered,
    /// A word of another scheduler that means nothing here.
    Other,
}

impl State {
    /// The word that stands in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::New => "new",
            Self::Clustered => "clustered",
            Self::Other => "other",
        }
    }
}

impl From<String> for State {
    fn from(word: String) -> Self {
        match &*word {
            "" => Self::Unknown,
            "new" => Self::New,
            "clustered" => Self::Clustered,
            _ => Self::Other,
        }
    }
}

impl From<State> for &'static str {
    fn from(state: State) -> Self {
        state.as_str()
    }
}

/// One announcement or one state: the JSON of couchbase-array, field by field, and a token in the states of ours.
/// Fields that are not known here are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where the node is. Compared byte for byte.
    #[serde(rename = "ipAddress")]
    pub address: String,
    /// Which run of the node it is; also the entry's name.
    #[serde(rename = "sessionID")]
    pub session: String,
    /// In a state: others join the cluster through this node.
    #[serde(default)]
    pub master: bool,
    /// How far the node is.
    #[serde(default)]
    pub state: State,
    /// In a state: where the node is to go.
    #[serde(rename = "desiredState", default)]
    pub desired: State,
    /// In seconds; of no consequence here, and there because the nodes of old have it.
    #[serde(default)]
    pub ttl: i64,
    /// In a state: the fencing token of the leader that wrote it, as `epoch@position`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_token",
        deserialize_with = "read_token"
    )]
    pub token: Option<Index>,
}

impl Record {
    /// A node that has done nothing yet.
    pub fn new(session: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            session: session.into(),
            master: false,
            state: State::Unknown,
            desired: State::Unknown,
            ttl: 0,
            token: None,
        }
    }

    /// Reads the value of the entry `name`. What is in a registry may have been written by anybody.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, fit for a log.
    pub fn read(name: &Name, value: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(value).map_err(|error| format!("not a node's JSON: {error}"))?;
        if record.session != name.as_str() {
            return Err("its sessionID is another than its name".into());
        }
        check_address(&record.address).map_err(str::to_owned)?;
        Ok(record)
    }

    /// The value to write.
    ///
    /// # Panics
    /// Never: texts, numbers and truths can be written as JSON.
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("plain fields").into()
    }

    /// True when both say the same of a node, whoever wrote them.
    pub(super) fn says(&self, other: &Self) -> bool {
        let said = |it: &Self| (it.master, it.state, it.desired);
        self.address == other.address && self.session == other.session && said(self) == said(other)
    }
}

/// An address goes into environments, URLs and logs.
pub(super) fn check_address(address: &str) -> Result<(), &'static str> {
    if address.is_empty() {
        return Err("its address is empty");
    }
    if address.len() > MAX_ADDRESS {
        return Err("its address is too long");
    }
    if !address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)) {
        return Err("its address holds what no host, IP address or port does");
    }
    Ok(())
}

#[expect(clippy::ref_option, reason = "the form that serde asks for")]
fn write_token<S: Serializer>(token: &Option<Index>, serializer: S) -> Result<S::Ok, S::Error> {
    token.map(|token| format!("{token:#}")).serialize(serializer)
}

fn read_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Index>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(|_| de::Error::custom("its token is none"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Record, String> {
        Record::read(&Name::new("s1").unwrap(), text.as_bytes())
    }

    #[test]
    fn is_the_json_of_couchbase_array() {
        let old = r#"{"ipAddress":"10.0.0.1","sessionID":"s1","master":false,"state":"","desiredState":"","ttl":0}"#;
        let record = read(old).unwrap();
        assert_eq!(record, Record::new("s1", "10.0.0.1"));
        assert_eq!(record.to_bytes(), old.as_bytes());
    }

    #[test]
    fn a_token_goes_there_and_back_and_other_fields_are_passed_over() {
        let text =
            r#"{"ipAddress":"a:1","sessionID":"s1","state":"clustered","desiredState":"relax","token":"7@42","x":[1]}"#;
        let record = read(text).unwrap();
        assert_eq!(
            (record.state, record.desired, record.token),
            (State::Clustered, State::Other, Some(Index::new(7, 42)))
        );
        assert_eq!(Record::read(&Name::new("s1").unwrap(), &record.to_bytes()).unwrap().token, record.token);
    }

    #[test]
    fn refuses_what_is_no_record() {
        let long = format!(r#"{{"ipAddress":"{}","sessionID":"s1"}}"#, "a".repeat(256));
        for (text, why) in [
            ("", "JSON"),
            ("[]", "JSON"),
            ("\u{0}", "JSON"),
            (r#"{"sessionID":"s1"}"#, "JSON"),
            (r#"{"ipAddress":"","sessionID":"s1"}"#, "empty"),
            (r#"{"ipAddress":"a b","sessionID":"s1"}"#, "holds"),
            (r#"{"ipAddress":"user@a","sessionID":"s1"}"#, "holds"),
            (r#"{"ipAddress":"a\n","sessionID":"s1"}"#, "holds"),
            (r#"{"ipAddress":"a","sessionID":"s2"}"#, "another"),
            (r#"{"ipAddress":"a","sessionID":"s1","token":"x"}"#, "token"),
            (&long, "long"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
