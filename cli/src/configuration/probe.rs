//! How to find out whether the child is ready, and whether it stays healthy.

use std::time::Duration;

use registry_handlers::parse_duration;
use serde::{Deserialize, Deserializer, de};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A connection can be made to `host:port`.
    Tcp(String),
    /// A GET of this URL is answered with 2xx or 3xx.
    Http(String),
    /// A command ends with 0.
    Exec(Vec<String>),
}

/// What is asked, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeSpec {
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
}

/// `[ready]`: the entry exists only after this passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadySpec {
    pub(crate) probe: ProbeSpec,
    pub(crate) interval: Duration,
    /// After this long without success, a warning is given; the waiting goes on.
    pub(crate) start_period: Duration,
}

/// `[health]`: whether the entry may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthSpec {
    pub(crate) probe: ProbeSpec,
    pub(crate) interval: Duration,
    pub(crate) fall: u32,
    pub(crate) rise: u32,
    pub(crate) on_fail: OnFail,
}

/// What happens to a child that is not healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFail {
    /// Its entry is taken away until it is healthy again.
    #[default]
    Deregister,
    /// It is stopped.
    Stop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tcp: Option<String>,
    http: Option<String>,
    exec: Option<Vec<String>>,
    #[serde(default, deserialize_with = "duration")]
    interval: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    start_period: Option<Duration>,
    fall: Option<u32>,
    rise: Option<u32>,
    on_fail: Option<OnFail>,
}

impl Written {
    fn probe(&mut self, section: &str) -> Result<ProbeSpec, String> {
        let target = match (self.tcp.take(), self.http.take(), self.exec.take()) {
            (Some(address), None, None) => Target::Tcp(address),
            (None, Some(url), None) => Target::Http(url),
            (None, None, Some(argv)) if !argv.is_empty() => Target::Exec(argv),
            _ => return Err(format!("[{section}] needs exactly one of `tcp`, `http` and `exec`")),
        };
        target.check().map_err(|problem| format!("[{section}] {problem}"))?;
        Ok(ProbeSpec { target, timeout: self.timeout.unwrap_or(Duration::from_secs(1)) })
    }
}

impl Target {
    /// What can be known without asking.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Target::Tcp(address) => {
                let port = address
                    .rsplit_once(':')
                    .and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
                port.map(drop).ok_or_else(|| format!("{address:?} is not host:port"))
            }
            Target::Http(url) if !url.starts_with("http://") => {
                Err(format!("{url:?} does not begin with http:// (for anything else, use a command)"))
            }
            Target::Http(_) | Target::Exec(_) => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for ReadySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = Written::deserialize(deserializer)?;
        let probe = written.probe("ready").map_err(de::Error::custom)?;
        if written.fall.is_some() || written.rise.is_some() || written.on_fail.is_some() {
            return Err(de::Error::custom("`fall`, `rise` and `on_fail` belong to [health]"));
        }
        Ok(Self {
            probe,
            interval: written.interval.unwrap_or(Duration::from_millis(500)),
            start_period: written.start_period.unwrap_or(Duration::from_mins(1)),
        })
    }
}

impl<'de> Deserialize<'de> for HealthSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = Written::deserialize(deserializer)?;
        let probe = written.probe("health").map_err(de::Error::custom)?;
        if written.start_period.is_some() {
            return Err(de::Error::custom("`start_period` belongs to [ready]"));
        }
        Ok(Self {
            probe,
            interval: written.interval.unwrap_or(Duration::from_secs(5)),
            fall: written.fall.unwrap_or(3).max(1),
            rise: written.rise.unwrap_or(2).max(1),
            on_fail: written.on_fail.unwrap_or_default(),
        })
    }
}

/// For serde: a duration that may be left out.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_duration(&text).map_err(de::Error::custom)).transpose()
}
