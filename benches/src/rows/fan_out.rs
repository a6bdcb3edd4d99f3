//! Target 6: many subscriptions of one directory in one process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::{Client, WatchOptions, WatchResponseStream};
use registry::{Dir, Event, Registry, RegistryExt, Subscription};
use test_servers::http;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::bench::Bench;
use crate::harness::{FLOOR, Limit, OURS, Samples, Section, Unit};
use crate::stores::{Kind, Store};

const SUBSCRIPTIONS: usize = 1000;
const PUTS: usize = 10;
/// How long those who have just subscribed are left alone.
const SETTLE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(30);
const OURS_DIR: &str = "/fan-out/ours";
const FLOOR_DIR: &str = "/fan-out/floor";

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let target = "1,000 subscriptions of one directory cost one watch, and the last hears of a change within twice the time \
                  of one raw watch";
    let mut section = Section::new("Fan-out", target);
    let store = Store::start(Kind::EtcdV3).await?;
    let port = store.port().ok_or("etcd has a port")?;
    let mut writer = store.writer().await?;
    let registry = registry::connect(&store.url(None))?;
    let (mut raw, _client) = raw_watch(port).await?;
    let before = watchers(port).await?;
    let mut many = Many::subscribe(&registry).await?;
    let cost = watchers(port).await? - before;
    // Whatever the store still does for those who have just come.
    sleep(SETTLE).await;
    section.value("watches on the server", Unit::Count, Limit::AtMost(1.0), OURS, cost);

    let (mut floor, mut ours) = (Samples::default(), Samples::default());
    for round in 0..bench.rounds(30, 5) {
        bench.listen_for_noise();
        let (mut of_floor, mut of_ours) = (Vec::new(), Vec::new());
        for put in 0..PUTS {
            let value = format!("{round}-{put}");
            let begun = Instant::now();
            writer.put(&format!("{FLOOR_DIR}/a"), &value).await?;
            timeout(SOON, heard(&mut raw)).await??;
            of_floor.push(begun.elapsed().as_secs_f64() * 1e3);
            let begun = Instant::now();
            writer.put(&format!("{OURS_DIR}/a"), &value).await?;
            let last = timeout(SOON, many.last_hears()).await??;
            of_ours.push(last.duration_since(begun).as_secs_f64() * 1e3);
        }
        floor.push(of_floor);
        ours.push(of_ours);
    }
    let case = "etcd v3, put sent -> the last of 1,000 has heard";
    section.case(case, Unit::Milliseconds, Limit::Ratio(2.0), [(FLOOR.into(), floor), (OURS.into(), ours)]);
    section.note("The floor is one raw watch in this process, which hears of a put alone.");
    Ok(section)
}

/// A thousand subscribers, each in a task of its own.
struct Many {
    heard: mpsc::UnboundedReceiver<Instant>,
    _tasks: JoinSet<()>,
}

impl Many {
    async fn subscribe(registry: &Arc<dyn Registry>) -> Result<Self> {
        let (told, heard) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let dir = Dir::new(OURS_DIR)?;
        for _ in 0..SUBSCRIPTIONS {
            tasks.spawn(follow(registry.subscribe(&dir), told.clone()));
        }
        let mut this = Self { heard, _tasks: tasks };
        // The first event of each is the state.
        timeout(SOON, this.last_hears()).await??;
        Ok(this)
    }

    /// When the last of all has taken its next event.
    async fn last_hears(&mut self) -> Result<Instant> {
        let mut last = None;
        for _ in 0..SUBSCRIPTIONS {
            let heard = self.heard.recv().await.ok_or("a subscription has ended")?;
            last = last.max(Some(heard));
        }
        Ok(last.ok_or("there are subscriptions")?)
    }
}

async fn follow(mut subscription: Subscription, told: mpsc::UnboundedSender<Instant>) {
    while let Some(Ok(event)) = subscription.next().await {
        let counts = matches!(event, Event::Snapshot { .. } | Event::Changes(_));
        if counts && told.send(Instant::now()).is_err() {
            return;
        }
    }
}

async fn raw_watch(port: u16) -> Result<(WatchResponseStream, Client)> {
    let mut client = Client::connect([format!("127.0.0.1:{port}")], None).await?;
    let mut stream = client.watch(format!("{FLOOR_DIR}/"), Some(WatchOptions::new().with_prefix())).await?;
    stream.message().await?.filter(etcd_client::WatchResponse::created).ok_or("the watch was not made")?;
    let (sender, messages) = stream.split();
    // It closes the stream when it is dropped, and the client is kept for as long as the messages are.
    std::mem::forget(sender);
    Ok((messages, client))
}

async fn heard(messages: &mut WatchResponseStream) -> Result<()> {
    loop {
        let message = messages.message().await?.ok_or("the raw watch has ended")?;
        if !message.events().is_empty() {
            return Ok(());
        }
    }
}

/// How many watchers the server counts.
async fn watchers(port: u16) -> Result<f64> {
    let (_, metrics) = http::request(SOON, port, "GET", "/metrics", "").await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
    Ok(line.ok_or("the server does not count its watchers")?.trim().parse()?)
}
