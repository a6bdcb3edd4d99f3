//! A thousand reconnects leave no task, no socket and no file behind.

use std::time::Duration;

use cluster_control_faults::proxy::Proxy;
use cluster_control_tests::{Backend, Context, block_on, eventually};
use registry::{Bytes, Dir, RegisterOptions, RegistryExt};

use crate::clients::{Client, Used, runtime};

/// How many there are at least, of all clients together.
const RECONNECTS: u64 = 1000;
/// So many at once, each with a connection of its own, for each of them waits a little before it connects again.
const CLIENTS: u8 = 25;
/// `SQLite` does not close a file on which another connection of the process has a lock, but keeps it for later.
const PENDING: usize = 4;
const PATIENCE: Duration = Duration::from_mins(1);
/// Far less than what is left over when one in ten reconnects leaves something: a request that is on its way, and a connection
/// that is kept for the next one, which is one socket here and two in the proxy.
const UNDER_WAY: Used = Used { tasks: 2 * CLIENTS as usize, files: 4 * CLIENTS as usize };

/// Connections are reset again and again under subscriptions and registrations that live on.
pub(crate) fn to_a_server(context: &Context) {
    let proxy = block_on(Proxy::start(format!("127.0.0.1:{}", context.server().port()))).expect("a proxy");
    let scheme = match context.backend {
        Backend::EtcdV2 => "etcd-v2",
        Backend::EtcdV3 => "etcd",
        _ => "consul-kv",
    };
    let url = format!("{scheme}://{}", proxy.endpoint());
    let dir = Dir::new(&context.at("web")).expect("a valid path");
    let runtime = runtime();
    let before = Used::now(&runtime);

    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(runtime.block_on(Client::start(&url, &dir, &format!("m{number}"))));
    }
    let last = format!("m{}", CLIENTS - 1);
    eventually(PATIENCE, "everybody knows everybody", || clients.iter().all(|client| client.knows(&last)));
    let begun = Used::now(&runtime);

    let first = proxy.counts().attempts;
    while proxy.counts().attempts < first + RECONNECTS {
        let so_far = proxy.counts().attempts;
        proxy.reset();
        eventually(PATIENCE, "everybody has connected again", || {
            let counts = proxy.counts();
            counts.attempts >= so_far + u64::from(CLIENTS) && counts.open >= usize::from(CLIENTS)
        });
    }

    // They are at work as before.
    let late = dir.key("late").expect("a valid name");
    // This tries again where an agent of Consul still counts the connections that were reset, and takes no more of them.
    let late = runtime.block_on(clients[0].registry.announce(late, Bytes::from_static(b"v"), RegisterOptions::new()));
    let late = late.expect("somebody comes late");
    eventually(PATIENCE, "everybody is told", || clients.iter().all(|client| client.knows("late")));
    eventually(PATIENCE, "everybody is registered", || clients.iter().all(Client::is_registered));
    settled(&runtime, Used { tasks: begun.tasks + UNDER_WAY.tasks, files: begun.files + UNDER_WAY.files });
    runtime.block_on(late.deregister()).expect("it is given back");
    for client in clients {
        runtime.block_on(client.end());
    }
    settled(&runtime, before);
}

/// The store is opened, used and let go of again and again.
pub(crate) fn of_a_file(context: &Context) {
    let dir = Dir::new(&context.at("web")).expect("a valid path");
    let runtime = runtime();
    // Whatever is made once for the process is made now.
    let once = async |number: u64| {
        let client = Client::start(&context.url(), &dir, "m").await;
        // Somebody else's entry, by the same registry.
        let other = dir.key(&format!("n{}", number % 2)).expect("a valid name");
        let registration = client.registry.announce(other, Bytes::from_static(b"v"), RegisterOptions::new()).await;
        registration.expect("the other entry stands").deregister().await.expect("it is given back");
        client.end().await;
    };
    runtime.block_on(once(0));
    eventually(PATIENCE, "all tasks of the first end", || runtime.metrics().num_alive_tasks() == 0);
    let before = Used::now(&runtime);
    for number in 1..=RECONNECTS {
        runtime.block_on(once(number));
    }
    settled(&runtime, Used { files: before.files + PENDING, ..before });
}

/// In the end there is not more than this. What goes its way in the background may do so.
fn settled(runtime: &tokio::runtime::Runtime, bound: Used) {
    let mut now = Used::now(runtime);
    let begun = std::time::Instant::now();
    while !now.is_within(bound) {
        assert!(begun.elapsed() < PATIENCE, "{now:?} are left, and there should be at most {bound:?}");
        std::thread::sleep(Duration::from_millis(50));
        now = Used::now(runtime);
    }
}
