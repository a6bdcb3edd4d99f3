//! The two places where a server can be, as one.

use std::path::Path;

use crate::container::Container;
use crate::engine::Kind;
use crate::launch::Launch;
use crate::plan::Plan;
use crate::process::Process;
use crate::{Api, Error, Result};

#[derive(Debug)]
pub(crate) enum Server {
    Container(Box<Container>),
    Process(Process),
}

impl Server {
    pub(crate) async fn create(plan: &dyn Plan) -> Result<Self> {
        Ok(match Kind::find(plan.is_process()).await? {
            Kind::Container(docker) => Self::Container(Box::new(Container::create(docker, plan).await?)),
            Kind::Process => Self::Process(Process::create(plan)?),
        })
    }

    pub(crate) fn describe(&self, plan: &dyn Plan) -> String {
        match self {
            Self::Container(_) => Container::describe(plan),
            Self::Process(process) => process.describe(),
        }
    }

    pub(crate) async fn start(&mut self) -> Result<()> {
        match self {
            Self::Container(container) => container.start().await,
            Self::Process(process) => process.start(),
        }
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        match self {
            Self::Container(container) => container.stop().await,
            Self::Process(process) => process.stop().await,
        }
    }

    pub(crate) async fn kill(&mut self) -> Result<()> {
        match self {
            Self::Container(container) => container.kill().await,
            Self::Process(process) => process.kill(),
        }
    }

    pub(crate) async fn pause(&self) -> Result<()> {
        match self {
            Self::Container(container) => container.pause().await,
            Self::Process(process) => process.pause().await,
        }
    }

    pub(crate) async fn unpause(&self) -> Result<()> {
        match self {
            Self::Container(container) => container.unpause().await,
            Self::Process(process) => process.unpause(),
        }
    }

    pub(crate) async fn is_running(&mut self) -> Result<bool> {
        match self {
            Self::Container(container) => container.is_running().await,
            Self::Process(process) => process.is_running(),
        }
    }

    /// A process is on no network of containers.
    pub(crate) async fn join_network(&self, network: &str, alias: &str) -> Result<()> {
        match self {
            Self::Container(container) => container.join_network(network, alias).await,
            Self::Process(_) => Ok(()),
        }
    }

    pub(crate) async fn leave_network(&self, network: &str) -> Result<()> {
        match self {
            Self::Container(container) => container.leave_network(network).await,
            Self::Process(_) => Ok(()),
        }
    }

    /// Another program from the next start on.
    pub(crate) fn replace(&mut self, launch: &Launch) -> Result<()> {
        match self {
            Self::Container(_) => Err(Error::new("only a process can be upgraded: use `Options::process`")),
            Self::Process(process) => process.replace(launch),
        }
    }

    pub(crate) async fn restore(&self, launch: &Launch, file: &Path) -> Result<()> {
        match self {
            Self::Container(_) => Err(Error::new("a backup is restored into a process only: use `Options::process`")),
            Self::Process(process) => process.restore(launch, file).await,
        }
    }

    pub(crate) async fn log(&self) -> String {
        match self {
            Self::Container(container) => container.log().await,
            Self::Process(process) => process.log(),
        }
    }

    pub(crate) async fn etcdctl(&self, launch: &Launch, api: Api, arguments: &[&str]) -> Result<String> {
        match self {
            Self::Container(container) => container.etcdctl(launch, api, arguments).await,
            Self::Process(process) => process.etcdctl(launch, api, arguments).await,
        }
    }
}

pub(crate) fn etcdctl_result(success: bool, output: &[u8], errors: &[u8]) -> Result<String> {
    if success {
        Ok(String::from_utf8_lossy(output).trim_end().to_owned())
    } else {
        let said = [output, errors].concat();
        Err(Error::new(format!("etcdctl: {}", String::from_utf8_lossy(&said).trim())))
    }
}
