//! A server in a container.

use std::sync::Arc;

use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as DockerError;
use testcontainers::bollard::models::PortBinding;
use testcontainers::bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use testcontainers::core::{ContainerPort, ExecCommand};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt, TestcontainersError};

use crate::engine::{call, runtime};
use crate::launch::{Launch, unique};
use crate::plan::{Place, Plan};
use crate::reaper::Mortal;
use crate::{Api, Error, Result, network};

const FILES: &str = "/files";
/// How long a server may take to end by itself, in seconds.
const GRACE: i32 = 10;

#[derive(Debug)]
pub(crate) struct Container {
    docker: Docker,
    name: String,
    /// `None` only while it is being dropped.
    running: Option<Running>,
    _mortal: Mortal,
}

type Running = Arc<ContainerAsync<GenericImage>>;

impl Container {
    pub(crate) async fn create(docker: Docker, plan: &dyn Plan) -> Result<Self> {
        let (image, name) = (image(plan), unique());
        let request = request(plan, &name);
        let mortal = Mortal::container(&name)?;
        let (running, docker, name) = call(|| async move {
            // Asked first, for testcontainers would try to pull it, and its error would not say what to do.
            match docker.inspect_image(&image).await {
                Ok(_) => {}
                Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => {
                    return Err(Error::new(format!(
                        "the image {image} is not there: run `make images`, or use TEST_SERVERS=process for a server without a container"
                    )));
                }
                Err(why) => return Err(Error::because(format!("cannot ask for the image {image}"))(why)),
            }
            match request.start().await {
                Ok(running) => Ok((Arc::new(running), docker, name)),
                Err(why) => {
                    // testcontainers forgets a container that was created and did not start.
                    let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                    let _ = docker.remove_container(&name, Some(force)).await;
                    Err(Error::because(format!("cannot start a container of {image}"))(chain(&why)))
                }
            }
        })
        .await?;
        Ok(Self { docker, name, running: Some(running), _mortal: mortal })
    }

    pub(crate) fn describe(plan: &dyn Plan) -> String {
        format!("in a container of {}", image(plan))
    }

    pub(crate) async fn start(&self) -> Result<()> {
        self.ask("start", |container| async move { container.start().await }).await
    }

    pub(crate) async fn stop(&self) -> Result<()> {
        self.ask("stop", |container| async move { container.stop_with_timeout(Some(GRACE)).await }).await
    }

    pub(crate) async fn kill(&self) -> Result<()> {
        let signal = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let (docker, name) = (self.docker.clone(), self.name.clone());
        call(|| async move { docker.kill_container(&name, Some(signal)).await }).await.map_err(because("kill"))
    }

    pub(crate) async fn pause(&self) -> Result<()> {
        self.ask("pause", |container| async move { container.pause().await }).await
    }

    pub(crate) async fn unpause(&self) -> Result<()> {
        self.ask("unpause", |container| async move { container.unpause().await }).await
    }

    pub(crate) async fn is_running(&self) -> Result<bool> {
        self.ask("ask for", |container| async move { container.is_running().await }).await
    }

    pub(crate) async fn join_network(&self, network: &str, alias: &str) -> Result<()> {
        network::join(self.docker.clone(), self.name.clone(), network.to_owned(), alias.to_owned()).await
    }

    pub(crate) async fn leave_network(&self, network: &str) -> Result<()> {
        network::part(self.docker.clone(), self.name.clone(), network.to_owned()).await
    }

    /// What the server wrote, and nothing when that cannot be had: this only adorns an error.
    pub(crate) async fn log(&self) -> String {
        let said = self.ask("read the log of", |container| async move {
            Ok::<_, TestcontainersError>([container.stdout_to_vec().await?, container.stderr_to_vec().await?].concat())
        });
        String::from_utf8_lossy(&said.await.unwrap_or_default()).into_owned()
    }

    pub(crate) async fn etcdctl(&self, launch: &Launch, api: Api, arguments: &[&str]) -> Result<String> {
        let arguments = arguments.iter().map(|argument| argument.replace("{files}", FILES));
        let command = ExecCommand::new(std::iter::once("etcdctl".to_owned()).chain(arguments))
            .with_env_vars(launch.etcdctl_environment(api, FILES));
        let run = |container: Running| async move {
            let mut result = container.exec(command).await?;
            let said = (result.stdout_to_vec().await?, result.stderr_to_vec().await?);
            Ok::<_, TestcontainersError>((said, result.exit_code().await?))
        };
        let ((output, errors), code) = self.ask("run etcdctl in", run).await?;
        crate::server::etcdctl_result(code == Some(0), &output, &errors)
    }

    /// Asks the engine for something that concerns the container.
    async fn ask<T, E, F>(&self, what: &str, question: impl FnOnce(Running) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        E: std::error::Error + Send + 'static,
        F: Future<Output = std::result::Result<T, E>>,
    {
        let running = self.running.clone().ok_or_else(|| Error::new("the container is gone"))?;
        call(|| question(running)).await.map_err(because(what))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let running = self.running.take();
        // testcontainers removes the container when this is dropped, and for that wants a runtime around it that it may
        // block: neither is certain here, in the last moments of a test that perhaps panics. A thread of its own has both.
        let removal = std::thread::spawn(move || {
            let _inside = runtime().enter();
            drop(running);
        });
        let _ = removal.join();
    }
}

fn image(plan: &dyn Plan) -> String {
    format!("{}:{}", plan.repository(), plan.version())
}

fn request(plan: &dyn Plan, name: &str) -> ContainerRequest<GenericImage> {
    let place = Place { address: "0.0.0.0", data: "/data", files: FILES };
    let ports = plan.ports();
    let image = ports.iter().fold(GenericImage::new(plan.repository(), plan.version()), |image, port| {
        image.with_exposed_port(ContainerPort::Tcp(*port))
    });
    let request = image
        .with_cmd(std::iter::once(plan.program().to_owned()).chain(plan.arguments(&place)))
        .with_container_name(name)
        // The mapping of testcontainers publishes on every address of the machine.
        .with_host_config_modifier(move |host| {
            let bindings = ports.iter().map(|port| {
                let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
                (format!("{port}/tcp"), Some(vec![binding]))
            });
            host.publish_all_ports = Some(false);
            host.port_bindings = Some(bindings.collect());
        });
    match plan.files() {
        Some(directory) => request.with_copy_to(FILES, directory),
        None => request,
    }
}

fn because<E: std::error::Error>(what: &str) -> impl FnOnce(E) -> Error {
    move |why| Error::because(format!("cannot {what} the container"))(chain(&why))
}

/// An error of testcontainers says what failed; its sources say why.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(why) = source {
        text = format!("{text}: {why}");
        source = why.source();
    }
    text
}
