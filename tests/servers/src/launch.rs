//! What is the same for a server in a container and one in a process: its ports, its arguments, its environment.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::options::{Options, Version};
use crate::plan::{Place, Plan};
use crate::{Api, Result, engine, free_port};

/// One server's plan. Its ports stay the same as long as it lives.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) options: Options,
    pub(crate) port: u16,
    /// Where `/health` is asked without TLS. With plain HTTP this is the client port itself.
    pub(crate) health_port: u16,
    pub(crate) token: String,
}

/// A word that no other server has: the process's id and a counter.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("cluster-control-test-{}-{number}", std::process::id())
}

impl Launch {
    pub(crate) fn new(options: Options) -> Self {
        let port = free_port();
        let health_port = if options.tls.is_some() { free_port() } else { port };
        Self { options, port, health_port, token: unique() }
    }

    /// The next life after a wipe: the cluster's id is made of this token, so a client sees another cluster.
    pub(crate) fn renew_cluster(&mut self) {
        self.token = unique();
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.options.tls.is_some() { "https" } else { "http" }
    }

    /// The variables that tell `etcdctl` where the server is and whom to trust.
    pub(crate) fn etcdctl_environment(&self, api: Api, files: &str) -> Vec<(String, String)> {
        let mut environment = vec![
            ("ETCDCTL_API".to_owned(), api.number().to_owned()),
            ("ETCDCTL_ENDPOINTS".to_owned(), format!("{}://127.0.0.1:{}", self.scheme(), self.port)),
        ];
        if self.options.tls.is_some() {
            let [ca, certificate, key] = match api {
                Api::V2 => ["CA_FILE", "CERT_FILE", "KEY_FILE"],
                Api::V3 => ["CACERT", "CERT", "KEY"],
            };
            for (variable, file) in [(ca, "ca.pem"), (certificate, "client.pem"), (key, "client.key")] {
                environment.push((format!("ETCDCTL_{variable}"), format!("{files}/{file}")));
            }
        }
        environment
    }
}

impl Plan for Launch {
    fn repository(&self) -> &'static str {
        "cluster-control-test/etcd"
    }

    fn version(&self) -> &'static str {
        self.options.version.name()
    }

    fn program(&self) -> &'static str {
        "etcd"
    }

    fn programs(&self) -> Result<PathBuf> {
        engine::programs(self.options.version)
    }

    fn ports(&self) -> Vec<u16> {
        let mut ports = vec![self.port, self.health_port];
        ports.dedup();
        ports
    }

    fn files(&self) -> Option<&Path> {
        self.options.files.as_deref()
    }

    fn is_process(&self) -> bool {
        self.options.process
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        let Self { options, port, .. } = self;
        let (scheme, address) = (self.scheme(), place.address);
        let mut arguments = vec![
            format!("--data-dir={}", place.data),
            format!("--enable-v2={}", options.v2),
            format!("--initial-cluster-token={}", self.token),
            // Inside a container the port is the same as outside: an address that etcd tells its clients holds for
            // all of them, also for the v2 etcdctl, which goes where the members say.
            format!("--listen-client-urls={scheme}://{address}:{port}"),
            format!("--advertise-client-urls={scheme}://127.0.0.1:{port}"),
            // The only member has no peers; two servers must still not take each other's peer port.
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        ];
        if options.version == Version::V3_5 {
            // A killed server keeps what it wrote: only a machine that crashes would lose it.
            arguments.push("--unsafe-no-fsync".to_owned());
        }
        if let Some(tls) = options.tls {
            let name = tls.server_certificate;
            arguments.push(format!("--cert-file={}/{name}.pem", place.files));
            arguments.push(format!("--key-file={}/{name}.key", place.files));
            arguments.push(format!("--listen-metrics-urls=http://{address}:{}", self.health_port));
            if tls.mutual {
                arguments.push("--client-cert-auth=true".to_owned());
                arguments.push(format!("--trusted-ca-file={}/ca.pem", place.files));
            }
        }
        let given = options.arguments.iter();
        arguments.extend(given.map(|argument| argument.replace("{files}", place.files)));
        arguments
    }
}
