//! One connection through the proxy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::rules::{Flow, Rules, Way};
use super::{Counters, Set};

/// The most that is read at once.
const PIECE: usize = 16 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) target: String,
    pub(super) rules: watch::Receiver<Set>,
    pub(super) counters: Arc<Counters>,
}

/// How a connection ended.
enum End {
    /// Both sides had finished.
    Done,
    /// It is closed in good order.
    Close,
    /// It is torn down.
    Reset,
}

/// Makes the drop of this connection a reset. There is nothing to do about one that is gone already.
pub(super) fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

impl Link {
    pub(super) async fn run(self, client: TcpStream) {
        self.counters.open.fetch_add(1, Ordering::SeqCst);
        self.forward(client).await;
        self.counters.open.fetch_sub(1, Ordering::SeqCst);
    }

    async fn forward(&self, mut client: TcpStream) {
        let mut resets = self.rules.clone();
        let begun = resets.borrow_and_update().resets;
        let Ok(mut server) = TcpStream::connect(&self.target).await else {
            // As if the client had met the server itself.
            reset(&client);
            return;
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let end = {
            let (client_says, to_client) = client.split();
            let (server_says, to_server) = server.split();
            let requests = self.pump(client_says, to_server, |rules| rules.to_server, &self.counters.to_server);
            let answers = self.pump(server_says, to_client, |rules| rules.to_client, &self.counters.to_client);
            tokio::select! {
                end = both(requests, answers) => end,
                // An error means that the proxy is gone.
                _ = resets.wait_for(|set| set.resets != begun) => End::Reset,
            }
        };
        match end {
            End::Done => {}
            End::Close => {
                let _ = tokio::join!(client.shutdown(), server.shutdown());
            }
            End::Reset => {
                reset(&client);
                reset(&server);
            }
        }
    }

    /// Passes bytes on in one direction, until its end or what the rules make of it.
    async fn pump(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        way: impl Fn(&Rules) -> Way,
        counter: &AtomicU64,
    ) -> io::Result<End> {
        let mut rules = self.rules.clone();
        let mut buffer = vec![0; PIECE];
        let (mut generation, mut passed, mut lost) = (0, 0, false);
        loop {
            let now = current(&mut rules, &way).await;
            if lost && now.flow != Flow::Swallow {
                return Ok(End::Reset);
            }
            if now.flow == Flow::Finish {
                to.shutdown().await?;
                // The other direction lives on; what still comes here goes nowhere.
                while from.read(&mut buffer).await? > 0 {}
                return Ok(End::Done);
            }
            // What is to be slow is read in small pieces.
            let size = now.rate.map_or(PIECE, |rate| (rate as usize / 20).clamp(1, PIECE));
            let count = tokio::select! {
                biased;
                _ = rules.changed() => continue,
                count = from.read(&mut buffer[..size]) => count?,
            };
            if count == 0 {
                // Not told before what was held would be.
                current(&mut rules, &way).await;
                to.shutdown().await?;
                return Ok(End::Done);
            }
            let now = settled(&mut rules, &way, count).await;
            let set = rules.borrow().generation;
            if std::mem::replace(&mut generation, set) != set {
                passed = 0;
            }
            let size = count as u64;
            let left = now.truncate.map_or(size, |limit| limit.saturating_sub(passed).min(size));
            if now.flow == Flow::Swallow {
                lost = true;
                continue;
            }
            if lost {
                return Ok(End::Reset);
            }
            to.write_all(&buffer[..usize::try_from(left).unwrap_or(count)]).await?;
            counter.fetch_add(left, Ordering::SeqCst);
            passed += left;
            if left < size {
                return Ok(End::Close);
            }
        }
    }
}

/// The rules of this direction, as soon as they do not hold it.
async fn current(rules: &mut watch::Receiver<Set>, way: &impl Fn(&Rules) -> Way) -> Way {
    loop {
        let now = way(&rules.borrow_and_update().rules);
        if now.flow != Flow::Hold {
            return now;
        }
        if rules.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The rules when this piece may be passed on: after its delay, and when nothing holds it. Rules that change meanwhile
/// apply to it as well.
async fn settled(rules: &mut watch::Receiver<Set>, way: &impl Fn(&Rules) -> Way, bytes: usize) -> Way {
    loop {
        let now = current(rules, way).await;
        let wait = now.wait(bytes);
        if wait.is_zero() {
            return now;
        }
        match timeout(wait, rules.changed()).await {
            Err(_) => return now,
            Ok(Ok(())) => {}
            Ok(Err(_)) => sleep(wait).await,
        }
    }
}

/// Both directions, until both have finished, or one of them ends the connection.
async fn both(requests: impl Future<Output = io::Result<End>>, answers: impl Future<Output = io::Result<End>>) -> End {
    let (mut requests, mut answers) = (std::pin::pin!(requests), std::pin::pin!(answers));
    let (mut open, mut last) = ([true, true], End::Done);
    while open != [false, false] {
        let ended = tokio::select! {
            ended = &mut requests, if open[0] => { open[0] = false; ended }
            ended = &mut answers, if open[1] => { open[1] = false; ended }
        };
        match ended {
            Ok(End::Done) => {}
            Ok(end) => {
                last = end;
                break;
            }
            // One side is gone in disorder: so it is for the other.
            Err(_) => return End::Reset,
        }
    }
    last
}
