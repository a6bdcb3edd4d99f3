use registry::{Catalogue, Codec, Dir, Instance, Json, RegisterOptions, RegistryExt};
use registry_tower::Discover;
use tower::{Service, ServiceExt, balance::p2c::Balance, load::Constant, service_fn};
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (url, port) = (std::env::args().nth(1).ok_or("URL PORT")?, std::env::args().nth(2).ok_or("URL PORT")?);
    let (registry, web) = (registry::connect(&url)?, Dir::new("/clusters/web")?);
    let (key, instance) = (web.key(&port)?, Instance::new("127.0.0.1", port.parse()?)?);
    let value = Json.encode(&key.name(), &instance)?;
    let registration = registry.announce(key, value, RegisterOptions::new()).await?;
    let mut client = Balance::new(Discover::new(Catalogue::follow(&registry, &web, Json), |authority| {
        let authority = authority.to_owned();
        Constant::new(service_fn(move |()| std::future::ready(Ok::<_, std::io::Error>(authority.clone()))), 1)
    }));
    for line in std::io::stdin().lines() {
        println!("{} is answered by {}", line?, client.ready().await?.call(()).await?);
    }
    Ok(registration.deregister().await?)
}
