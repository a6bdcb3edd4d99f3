//! What one request costs a real etcd, by the server's own account.

use std::time::Duration;

use etcd_client::{Client, GetOptions, PutOptions, WatchOptions};
use registry::{Bytes, Dir, RegisterOptions, Registry};

use super::account::{Used, number, used};
use super::costs::Cost;
use crate::Result;
use crate::stores::{Kind, Store};

const TTL: Duration = Duration::from_hours(1);
/// An entry as the library's `Json` writes it.
const VALUE: &[u8] = br#"{"address":"10.0.0.7","port":80,"tags":["blue"],"metadata":{"version":"1.4.2"}}"#;

pub(super) async fn costs(quick: bool) -> Result<Cost> {
    let many = if quick { 1_000 } else { 10_000 };
    let few = many / 10;
    let store = Store::start(Kind::EtcdV3).await?;
    let port = store.port().ok_or("etcd has a port")?;
    let address = format!("127.0.0.1:{port}");
    let mut client = Client::connect([&address], None).await?;
    let registry = registry::connect(&store.url(None))?;
    let dir = Dir::new("/costs/members")?;
    // The first requests of a fresh server are not like the others.
    warm_up(&mut client, few).await?;

    let (mut leases, options) = (Vec::new(), RegisterOptions::new().ttl(TTL));
    let registration = used(port, many, async {
        for member in 0..many {
            let key = dir.key(&format!("10.0.{}.{}:80", member / 250, member % 250))?;
            leases.push(registry.register(&key, Bytes::from_static(VALUE), &options).await?);
        }
        Ok(())
    });
    let registration = registration.await?;
    let renewal = used(port, many, async {
        for lease in &leases {
            registry.renew(lease).await?;
        }
        Ok(())
    });
    let renewal = renewal.await?;
    // Pages of one member, and pages of 500: the difference is what the members cost.
    let small = pages(port, &mut client, 1, few).await?;
    let large = pages(port, &mut client, 500, few).await?;
    let listed_cpu = ((large.cpu - small.cpu) / 499.0).max(0.0);
    let listed_bytes = ((large.bytes - small.bytes) / 499.0).max(0.0);

    let alone = changes(port, &mut client, many).await?;
    let watchers = many / 10;
    let (watching, watched) = {
        let mut streams = Vec::new();
        let made = used(port, watchers, async {
            for _ in 0..watchers {
                let options = WatchOptions::new().with_prefix();
                let mut stream = client.watch("/costs/change", Some(options)).await?;
                stream.message().await?;
                streams.push(tokio::spawn(async move { while let Ok(Some(_)) = stream.message().await {} }));
            }
            Ok(())
        });
        let made = made.await?;
        let told = changes(port, &mut client, few).await?;
        for stream in streams {
            stream.abort();
        }
        (made, told)
    };
    let connecting = used(port, few, connect(&address, few)).await?;
    Ok(Cost {
        renewal_cpu: round(renewal.cpu),
        renewal_bytes: round(renewal.bytes),
        registration_cpu: round(registration.cpu),
        registration_bytes: round(registration.bytes),
        change_cpu: round(alone.cpu),
        change_bytes: round(alone.bytes),
        told_cpu: round(((watched.cpu - alone.cpu) / number(watchers)).max(0.0)),
        told_bytes: round(((watched.bytes - alone.bytes) / number(watchers)).max(0.0)),
        page_cpu: round(small.cpu),
        listed_cpu: round(listed_cpu),
        listed_bytes: round(listed_bytes),
        connection_memory: round(connecting.memory),
        watcher_memory: round(watching.memory),
        member_memory: round(registration.memory),
        revision_disk: round(alone.disk),
    })
}

async fn warm_up(client: &mut Client, count: usize) -> Result<()> {
    for _ in 0..count {
        client.put("/costs/warm", VALUE, None).await?;
        client.get("/costs/warm", None).await?;
    }
    Ok(())
}

async fn pages(port: u16, client: &mut Client, size: i64, count: usize) -> Result<Used> {
    let read = async {
        for _ in 0..count {
            let options = GetOptions::new().with_prefix().with_limit(size);
            client.get("/costs/members/", Some(options)).await?;
        }
        Ok(())
    };
    used(port, count, read).await
}

async fn changes(port: u16, client: &mut Client, count: usize) -> Result<Used> {
    let lease = client.lease_grant(3600, None).await?.id();
    let write = async {
        for _ in 0..count {
            client.put("/costs/change", VALUE, Some(PutOptions::new().with_lease(lease))).await?;
        }
        // Those who watch hear of the last one before the account is read.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    };
    used(port, count, write).await
}

/// Connections that stay open until the account has been read, and a while longer.
async fn connect(address: &str, count: usize) -> Result<()> {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect([address], None).await?;
        client.get("/costs/warm", None).await?;
        open.push(client);
    }
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        drop(open);
    });
    Ok(())
}

/// Three digits are more than any of this is worth.
fn round(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let size = 10_f64.powf(value.log10().floor() - 2.0);
    let rounded = (value / size).round() * size;
    (rounded * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn three_digits_are_kept() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(round(1234.5), 1230.0) && near(round(0.012_345), 0.0123) && near(round(7.0), 7.0));
        assert!(near(round(0.0), 0.0) && near(round(-1.0), 0.0));
    }
}
