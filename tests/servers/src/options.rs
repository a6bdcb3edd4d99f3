use std::path::PathBuf;

use crate::certificates::Certificates;

/// The versions of etcd that tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.4, as Debian bookworm has it: it loses events after a compaction.
    V3_4,
    /// 3.5, as Debian trixie has it.
    V3_5,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::V3_4, Self::V3_5];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V3_4 => "3.4",
            Self::V3_5 => "3.5",
        }
    }
}

/// How a server is to be started. `Options::from(version)` is a plain one: no TLS, no authentication, v2 and v3.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) version: Version,
    pub(crate) v2: bool,
    pub(crate) arguments: Vec<String>,
    pub(crate) files: Option<PathBuf>,
    pub(crate) tls: Option<Tls>,
    pub(crate) process: bool,
    pub(crate) joined: Option<Joined>,
}

/// A network of containers, and the name on it.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) network: String,
    pub(crate) alias: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tls {
    pub(crate) server_certificate: &'static str,
    pub(crate) mutual: bool,
}

impl From<Version> for Options {
    fn from(version: Version) -> Self {
        Self { version, v2: true, arguments: Vec::new(), files: None, tls: None, process: false, joined: None }
    }
}

impl Options {
    /// Whether the v2 API is served beside v3, on the same port. It is, unless this says `false`.
    pub fn v2(mut self, enabled: bool) -> Self {
        self.v2 = enabled;
        self
    }

    /// One more argument for etcd, such as `--quota-backend-bytes=16777216`. It wins over this crate's own, and
    /// `{files}` in it is the directory of [`files`](Self::files) as the server sees it.
    ///
    /// With `--heartbeat-interval=10` and `--election-timeout=100` a server starts again in a third of the time, most
    /// of which is the election; but then the shortest TTL, and how much longer a lease lasts after a restart, change.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A directory whose files the server, and its `etcdctl`, can read: `{files}` in an argument. A container gets a copy.
    pub fn files(mut self, directory: impl Into<PathBuf>) -> Self {
        self.files = Some(directory.into());
        self
    }

    /// Clients must use TLS. Takes the place of [`files`](Self::files).
    pub fn tls(self, certificates: &Certificates) -> Self {
        self.with_tls(certificates, "server", false)
    }

    /// Clients must use TLS and show a certificate.
    pub fn tls_mutual(self, certificates: &Certificates) -> Self {
        self.with_tls(certificates, "server", true)
    }

    /// As [`tls`](Self::tls), with a server certificate whose time is over.
    pub fn tls_expired(self, certificates: &Certificates) -> Self {
        self.with_tls(certificates, "expired", false)
    }

    /// A child process, even where an engine answers.
    pub fn process(mut self) -> Self {
        self.process = true;
        self
    }

    fn with_tls(mut self, certificates: &Certificates, server_certificate: &'static str, mutual: bool) -> Self {
        self.tls = Some(Tls { server_certificate, mutual });
        self.files(certificates.directory())
    }
}
