//! Starts one of the servers that the tests use, for trying things out by hand: `cargo run -p test-servers -- 3.5`.
//! It is there until this program ends, by Ctrl-C for example.

use test_servers::{Consul, ConsulOptions, Error, Etcd, Version};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let version = match std::env::args().nth(1).as_deref() {
        Some("3.4") => Version::V3_4,
        Some("3.5") | None => Version::V3_5,
        Some("consul") => {
            let consul = Consul::start(ConsulOptions::default()).await?;
            println!("{}", consul.endpoint());
            eprintln!("{}; Ctrl-C ends it", consul.describe());
            return std::future::pending().await;
        }
        Some(other) => {
            eprintln!("there is no etcd {other:?}, only 3.4 and 3.5, and `consul`");
            std::process::exit(2);
        }
    };
    let etcd = Etcd::start(version).await?;
    println!("{}", etcd.endpoint());
    eprintln!("{}; Ctrl-C ends it", etcd.describe());
    std::future::pending().await
}
