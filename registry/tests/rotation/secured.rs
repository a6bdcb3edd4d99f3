//! A server with TLS that wants its clients' certificates, and the files of both sides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::Registry;
use tempfile::TempDir;
use test_servers::certificates::{self, Certificates};
use test_servers::{Consul, ConsulOptions, Etcd, Options, Version};

use crate::client::{Backend, replace};

enum Server {
    Etcd(Etcd),
    Consul(Consul),
}

pub(crate) struct Secured {
    backend: Backend,
    server: Server,
    files: Certificates,
    /// The client has copies, so that each side is rotated by itself.
    copies: TempDir,
    _directory: TempDir,
}

/// An authority and what it has signed.
pub(crate) fn authority() -> (TempDir, Certificates) {
    let directory = tempfile::tempdir().expect("a directory");
    let made = certificates::make(directory.path()).expect("certificates");
    (directory, made)
}

impl Secured {
    /// In a process: a container would have a copy of its files, which cannot be rotated.
    pub(crate) async fn start(backend: Backend) -> Self {
        let (directory, files) = authority();
        let server = if backend == Backend::Consul {
            let options = ConsulOptions::default().tls_mutual(&files).process();
            Server::Consul(Consul::start(options).await.expect("a server"))
        } else {
            let options = Options::from(Version::V3_4).tls_mutual(&files).process();
            Server::Etcd(Etcd::start(options).await.expect("a server"))
        };
        let copies = tempfile::tempdir().expect("a directory");
        for name in ["ca.pem", "client.pem", "client.key"] {
            std::fs::copy(files.directory().join(name), copies.path().join(name)).expect("copied");
        }
        Self { backend, server, files, copies, _directory: directory }
    }

    /// A file of the client.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        self.copies.path().join(name)
    }

    /// All that the server has now, to be put back later.
    pub(crate) fn keep(&self) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        for file in std::fs::read_dir(self.files.directory()).expect("listed") {
            let file = file.expect("listed");
            std::fs::copy(file.path(), directory.path().join(file.file_name())).expect("copied");
        }
        let path = directory.path().to_owned();
        (directory, path)
    }

    /// For the client, with its own files.
    pub(crate) fn url(&self) -> String {
        self.with(self.copies.path())
    }

    /// Another client, with what the server trusts now.
    pub(crate) fn witness(&self) -> Arc<dyn Registry> {
        registry::connect(&self.with(self.files.directory())).expect("a configuration")
    }

    fn with(&self, files: &Path) -> String {
        let endpoint = match &self.server {
            Server::Etcd(etcd) => etcd.endpoint(),
            Server::Consul(consul) => consul.endpoint(),
        };
        let (scheme, files) = (self.backend.scheme(), files.display());
        format!("{scheme}s://{endpoint}?ca={files}/ca.pem&cert={files}/client.pem&key={files}/client.key")
    }

    /// Restarts the server with other files: `(its name, what is in it now)`.
    pub(crate) async fn restart_with(&mut self, files: &[(&str, PathBuf)]) {
        match &mut self.server {
            Server::Etcd(etcd) => etcd.stop().await,
            Server::Consul(consul) => consul.stop().await,
        }
        .expect("stopped");
        for (name, from) in files {
            replace(&self.files.directory().join(name), std::fs::read(from).expect("read"));
        }
        match &mut self.server {
            Server::Etcd(etcd) => etcd.start_again().await,
            Server::Consul(consul) => consul.start_again().await,
        }
        .expect("started again");
    }
}
