//! The TOML file.

use std::time::Duration;

use processes::Signal;
use registry::{Dir, Key};
use registry_handlers::{FileSpec, NotifySpec};
use serde::Deserialize;

use super::probe::duration;
use super::{Configuration, HealthSpec, ReadySpec, SelfSpec, WatchSpec, check_times, cluster_dir, explained, own};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Option<u32>,
    registry: Option<Registry>,
    #[serde(default)]
    pass_env: Vec<String>,
    #[serde(default)]
    child: ChildSpec,
    #[serde(rename = "self")]
    own: Option<Own>,
    ready: Option<ReadySpec>,
    health: Option<HealthSpec>,
    #[serde(default)]
    watch: Vec<Watch>,
    #[serde(default)]
    notify: Vec<NotifySpec>,
    #[serde(default)]
    file: Vec<FileSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    url: String,
}

/// `[child]`: how the child is stopped and judged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChildSpec {
    stop_signal: String,
    #[serde(deserialize_with = "duration")]
    stop_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    start_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    drain: Option<Duration>,
    /// Exit codes that count as success: this program then exits with 0.
    pub(crate) success_codes: Vec<u8>,
}

impl Default for ChildSpec {
    fn default() -> Self {
        Self {
            stop_signal: "TERM".into(),
            stop_timeout: None,
            start_timeout: None,
            drain: None,
            success_codes: Vec::new(),
        }
    }
}

impl ChildSpec {
    /// The signal that asks the child to end.
    pub(crate) fn stop_signal(&self) -> Signal {
        self.stop_signal.parse().unwrap_or(Signal::TERM)
    }

    /// How long the child may take to end before it is killed. Drain and this fit into Docker's ten seconds.
    pub(crate) fn stop_timeout(&self) -> Duration {
        self.stop_timeout.unwrap_or(Duration::from_secs(5))
    }

    /// How long the child goes on serving after its entry was taken away.
    pub(crate) fn drain(&self) -> Duration {
        self.drain.unwrap_or(Duration::from_secs(2))
    }

    /// How long to wait for the registry before the child is started.
    pub(crate) fn start_timeout(&self) -> Duration {
        self.start_timeout.unwrap_or(Duration::from_mins(1))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    key: Option<String>,
    cluster: Option<String>,
    id: Option<String>,
    #[serde(default)]
    value: String,
    #[serde(default, deserialize_with = "duration")]
    ttl: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    heartbeat: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    name: String,
    cluster: Option<String>,
    path: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    grace: Option<Duration>,
}

/// Reads a TOML file.
pub(super) fn read(text: &str) -> Result<Configuration, String> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let message = explained(error.message());
        match error.span() {
            Some(span) => {
                let before = &text[..span.start.min(text.len())];
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                format!("line {line}, column {column}: {message}")
            }
            None => message,
        }
    })?;
    if let Some(version) = written.version.filter(|version| *version != 1) {
        return Err(format!("version {version} is not known; this program reads version 1"));
    }
    written.child.stop_signal.parse::<Signal>().map_err(|error| format!("child.stop_signal: {error}"))?;
    let watches = written.watch.into_iter().map(Watch::read).collect::<Result<_, _>>()?;
    Ok(Configuration {
        registry: written.registry.map(|registry| registry.url),
        child: written.child,
        own: written.own.map(Own::read).transpose()?,
        ready: written.ready,
        health: written.health,
        watches,
        notifies: written.notify,
        files: written.file,
        pass_env: written.pass_env,
        ..Configuration::default()
    })
}

impl Own {
    fn read(self) -> Result<SelfSpec, String> {
        let key = match (&self.key, &self.cluster) {
            (Some(key), None) if self.id.is_none() => Key::parse(key).map_err(|error| format!("self.key: {error}"))?,
            (None, Some(cluster)) => {
                own::key(cluster, self.id.as_deref()).map_err(|problem| format!("self: {problem}"))?
            }
            _ => return Err("[self] needs either `key`, or `cluster` and perhaps `id`".into()),
        };
        if let (Some(ttl), Some(heartbeat)) = (self.ttl, self.heartbeat) {
            check_times(ttl, heartbeat)?;
        }
        Ok(SelfSpec { key, value: self.value, ttl: self.ttl, renew_every: self.heartbeat })
    }
}

impl Watch {
    fn read(self) -> Result<WatchSpec, String> {
        let wrong = |problem: String| format!("the watch {:?}: {problem}", self.name);
        let dir = match (&self.path, &self.cluster) {
            (Some(path), None) => Dir::new(path).map_err(|error| wrong(error.to_string()))?,
            (None, Some(cluster)) => cluster_dir(cluster).map_err(wrong)?,
            (None, None) => cluster_dir(&self.name).map_err(wrong)?,
            (Some(_), Some(_)) => return Err(wrong("it has `path` and `cluster`; keep one".into())),
        };
        Ok(WatchSpec { name: self.name, dir, grace: self.grace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_everything() {
        let configuration = read(
            r#"
            version = 1
            [registry]
            url = "etcd://h:2379"
            [child]
            stop_signal = "QUIT"
            stop_timeout = "3s"
            success_codes = [0, 143]
            [self]
            cluster = "web"
            id = "10.0.0.1:80"
            ttl = "15s"
            [ready]
            http = "http://127.0.0.1:80/"
            [health]
            tcp = "127.0.0.1:80"
            on_fail = "stop"
            [[watch]]
            name = "db"
            path = "/services/db"
            [[watch]]
            name = "redis"
            grace = "20s"
            [[notify]]
            name = "reload"
            kind = "signal"
            signal = "HUP"
            [[file]]
            kind = "json"
            watch = ["db", "redis"]
            dest = "/run/x.json"
            notify = ["reload"]
            "#,
        )
        .unwrap();
        assert_eq!(configuration.own.as_ref().unwrap().key.as_str(), "/clusters/web/10.0.0.1:80");
        assert_eq!(configuration.watches[0].dir.as_str(), "/services/db");
        assert_eq!(configuration.watches[1].dir.as_str(), "/clusters/redis");
        let graces: Vec<_> = configuration.watches.iter().map(|w| configuration.subscribe_options(w).grace).collect();
        assert_eq!(graces, [Some(registry::DEFAULT_GRACE), Some(Duration::from_secs(20))]);
        assert_eq!(configuration.child.stop_timeout(), Duration::from_secs(3));
        assert_eq!(configuration.health.unwrap().on_fail, super::super::OnFail::Stop);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, says) in [
            ("[self]\nkey = \"/a/b\"\nttl = 5", "line 3, column 7"),
            ("[self]\nkey = \"/a/b\"\nhearbeat = \"1s\"", "did you mean `heartbeat`"),
            ("a = ", "line 1"),
            ("[self]\nkey = \"/a/b\"\nttl = \"5s\"\nheartbeat = \"5s\"", "longer"),
            ("[self]\nid = \"x\"", "`key`"),
            ("[child]\nstop_signal = \"FOO\"", "stop_signal"),
            ("[ready]\ntcp = \"h:1\"\nhttp = \"http://h\"", "exactly one"),
            ("[ready]\ntcp = \"h\"", "host:port"),
            ("[[watch]]\nname = \"a/../b\"", "not valid"),
            ("version = 2", "version 2"),
        ] {
            let problem = read(text).map(drop).expect_err(text);
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = read(&text);
        }
    }
}
