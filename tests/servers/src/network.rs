//! A network of containers alone, on which they find each other by name.

use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{
    EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};

use crate::engine::{call, runtime};
use crate::launch::unique;
use crate::reaper::Mortal;
use crate::{Error, Result};

/// A network without a way out. Dropping it removes it; by then its containers must be gone.
#[derive(Debug)]
pub(crate) struct Network {
    docker: Docker,
    name: String,
    _mortal: Mortal,
}

impl Network {
    pub(crate) async fn create(docker: Docker) -> Result<Self> {
        let name = unique();
        let mortal = Mortal::network(&name)?;
        let request = NetworkCreateRequest { name: name.clone(), internal: Some(true), ..Default::default() };
        let engine = docker.clone();
        call(|| async move { engine.create_network(request).await })
            .await
            .map_err(Error::because("cannot create a network of containers"))?;
        Ok(Self { docker, name, _mortal: mortal })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let (docker, name) = (self.docker.clone(), std::mem::take(&mut self.name));
        // What fails here, the clean-up at the end of the process does.
        let removal = std::thread::spawn(move || runtime().block_on(async { docker.remove_network(&name).await }));
        let _ = removal.join();
    }
}

/// Joins a container to a network, where the others find it as `alias`.
pub(crate) async fn join(docker: Docker, container: String, network: String, alias: String) -> Result<()> {
    let endpoint = EndpointSettings { aliases: Some(vec![alias]), ..Default::default() };
    let request = NetworkConnectRequest { container, endpoint_config: Some(endpoint) };
    call(|| async move { docker.connect_network(&network, request).await })
        .await
        .map_err(Error::because("cannot join the container to its network"))
}

/// Takes a container off a network.
pub(crate) async fn part(docker: Docker, container: String, network: String) -> Result<()> {
    let request = NetworkDisconnectRequest { container, force: Some(true) };
    call(|| async move { docker.disconnect_network(&network, request).await })
        .await
        .map_err(Error::because("cannot take the container off its network"))
}
