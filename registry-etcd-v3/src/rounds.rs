//! Renewals that go together: one kept stream for the keepalives, and one transaction for the looks at the entries.
//!
//! Nearly all that a renewal costs, it costs once for a hundred: so those that come within 40 milliseconds make a round.
//! A round only ever tells good news or the end of a lease. Whatever else happens to it, each of its renewals is asked alone,
//! as if there were no rounds: one lease that is refused harms no other, and a stream that hangs holds nobody up for long.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::proto::{PbTxnOpResponse, PbTxnResponse};
use etcd_client::{GetOptions, KvClient, LeaseKeepAliveStream, LeaseKeeper, Txn, TxnOp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Answer, Failure};
use crate::wire::{Seen, stamp};

/// As many renewals make a full round. By default etcd takes 128 operations in one transaction.
const FULL: usize = 100;
/// From one round to the next, unless it was full. The pause grows while there is company, and shrinks while each comes alone:
/// then nearly none is made. The first round after a rest goes at once.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(40);
/// A server answers one keepalive of a stream after the other, and a follower asks the leader for each. While a stream is
/// behind by this much, no more is asked on it.
const LATE: Duration = Duration::from_millis(100);
/// A stream that is behind by this much hangs.
const HUNG: Duration = Duration::from_secs(1);

/// The rounds on one connection.
#[derive(Default)]
pub(crate) struct Rounds(Mutex<Option<mpsc::Sender<Renewal>>>);

struct Renewal {
    lease: i64,
    path: String,
    alive: oneshot::Sender<bool>,
    seen: oneshot::Sender<Seen>,
}

impl Rounds {
    /// Renews with others: whether the lease lived, and what is under the path. `None`, after this long at the latest: that is
    /// to be asked alone.
    ///
    /// Both answers are to requests that are made after this is called.
    pub(crate) async fn join(&self, lease: i64, path: String, patience: Duration) -> Option<(bool, Seen)> {
        // Kept until the answer is here: who leaves the connection must not send those away who may yet hear.
        let rounds = self.kept().clone()?;
        let ((alive, lives), (seen, looks)) = (oneshot::channel(), oneshot::channel());
        let renewal = Renewal { lease, path, alive, seen };
        let answer = async {
            rounds.send(renewal).await.ok()?;
            // The answer that comes last, first: to be woken for each costs more than the answers.
            let seen = looks.await.ok()?;
            Some((lives.await.ok()?, seen))
        };
        timeout(patience, answer).await.ok()?
    }

    /// Keeps this stream for the renewals that come, unless there is one already.
    pub(crate) fn keep(&self, kv: KvClient, keeper: LeaseKeeper, stream: LeaseKeepAliveStream) {
        let mut kept = self.kept();
        if kept.as_ref().is_none_or(mpsc::Sender::is_closed) {
            let (sender, renewals) = mpsc::channel(FULL);
            *kept = Some(sender);
            tokio::spawn(serve(kv, keeper, stream, renewals));
        }
    }

    /// Ends the stream when those who wait for answers have them, or have given up.
    pub(crate) fn end(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<mpsc::Sender<Renewal>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until nobody can ask any more, or the stream fails. Whoever waits then is told by the end of his channel.
async fn serve(kv: KvClient, keeper: LeaseKeeper, stream: LeaseKeepAliveStream, mut renewals: mpsc::Receiver<Renewal>) {
    let asked = Asked::default();
    let end = tokio::select! {
        end = ask(kv, keeper, &asked, &mut renewals) => end,
        end = hear(stream, &asked) => end,
    };
    if let Err(failure) = end {
        tracing::debug!(reason = %failure.reason, "the kept keepalive stream ends");
    }
}

async fn ask(
    kv: KvClient,
    mut keeper: LeaseKeeper,
    asked: &Asked,
    renewals: &mut mpsc::Receiver<Renewal>,
) -> Answer<()> {
    let (mut round, mut pause) = (Vec::new(), PAUSE_MIN);
    while renewals.recv_many(&mut round, FULL).await > 0 {
        let count = round.len();
        while asked.behind() > LATE {
            if asked.behind() > HUNG {
                return Err(Failure::silent(HUNG));
            }
            sleep(PAUSE_MIN).await;
        }
        // Nothing is asked for those who have given up in the meantime.
        round.retain(|renewal| !renewal.alive.is_closed());
        let mut looks = Vec::with_capacity(round.len());
        for renewal in round.drain(..) {
            asked.push(renewal.lease, renewal.alive);
            keeper.id = renewal.lease;
            keeper.keep_alive().await?;
            looks.push((renewal.path, renewal.seen));
        }
        tokio::spawn(look(kv.clone(), looks));
        if count < FULL {
            sleep(pause).await;
            pause = if count > 1 { (pause * 2).min(PAUSE_MAX) } else { (pause / 2).max(PAUSE_MIN) };
        }
    }
    Ok(())
}

async fn hear(mut stream: LeaseKeepAliveStream, asked: &Asked) -> Answer<()> {
    while let Some(answer) = stream.message().await? {
        let alive = asked.take(answer.id()).ok_or_else(|| Failure::unexpected("a keepalive that nobody asked for"))?;
        let _ = alive.send(answer.ttl() > 0);
    }
    Err(Failure::ended())
}

/// The keepalives that have no answer yet, in the order in which they were sent.
///
/// One stays until its answer comes although nobody waits for it: the answer must not be taken for that to a later one.
#[derive(Default)]
struct Asked(Mutex<VecDeque<(i64, Instant, oneshot::Sender<bool>)>>);

impl Asked {
    /// To be called before it is sent.
    fn push(&self, lease: i64, alive: oneshot::Sender<bool>) {
        self.all().push_back((lease, Instant::now(), alive));
    }

    /// Whom the next answer for this lease is for.
    fn take(&self, lease: i64) -> Option<oneshot::Sender<bool>> {
        let mut all = self.all();
        // The first one, unless something between us and the server changes the order.
        let at = all.iter().position(|(asked, ..)| *asked == lease)?;
        all.remove(at).map(|(.., alive)| alive)
    }

    /// For how long the oldest one has waited.
    fn behind(&self) -> Duration {
        self.all().front().map_or(Duration::ZERO, |(_, since, _)| since.elapsed())
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<(i64, Instant, oneshot::Sender<bool>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transaction that changes nothing: all paths at one point of the history.
async fn look(mut kv: KvClient, looks: Vec<(String, oneshot::Sender<Seen>)>) {
    let (paths, waiting): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
    let gets: Vec<_> =
        paths.into_iter().map(|path| TxnOp::get(path, Some(GetOptions::new().with_keys_only()))).collect();
    let Ok(answer) = timeout(HUNG, kv.txn(Txn::new().and_then(gets))).await else { return };
    match answer.map_err(Failure::from).and_then(|answer| seen(answer.0, waiting.len())) {
        Ok(seen) => {
            for (who, seen) in waiting.into_iter().zip(seen) {
                let _ = who.send(seen);
            }
        }
        Err(failure) => tracing::debug!(reason = %failure.reason, "a round of renewals could not look"),
    }
}

/// What the gets of a transaction have found.
fn seen(answer: PbTxnResponse, count: usize) -> Answer<Vec<Seen>> {
    let index = stamp(answer.header.as_ref())?;
    let found = answer.responses.into_iter().map(|operation| match operation.response {
        Some(PbTxnOpResponse::ResponseRange(range)) => Some(Seen { record: range.kvs.into_iter().next(), index }),
        _ => None,
    });
    match found.collect::<Option<Vec<_>>>() {
        Some(seen) if seen.len() == count => Ok(seen),
        _ => Err(Failure::unexpected("the server's answer to a transaction does not say what it read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_the_oldest_question_about_its_lease() {
        let asked = Asked::default();
        let ask = |lease| {
            let (alive, lives) = oneshot::channel();
            asked.push(lease, alive);
            lives
        };
        // Given up before the next one is asked.
        drop(ask(1));
        let (mut second, mut other) = (ask(1), ask(2));
        assert!(asked.take(1).unwrap().send(true).is_err(), "this answer is for the one that was given up");
        assert!(second.try_recv().is_err());
        // Out of order, as a proxy may send them.
        asked.take(2).unwrap().send(false).unwrap();
        asked.take(1).unwrap().send(true).unwrap();
        assert_eq!((second.try_recv(), other.try_recv()), (Ok(true), Ok(false)));
        assert!(asked.take(1).is_none() && asked.take(3).is_none() && asked.all().is_empty());
    }

    #[test]
    fn it_is_behind_by_its_oldest_question() {
        let asked = Asked::default();
        assert_eq!(asked.behind(), Duration::ZERO);
        let ask = |lease| {
            asked.push(lease, oneshot::channel().0);
            while asked.behind().is_zero() {}
        };
        ask(1);
        ask(2);
        asked.take(1);
        assert!(!asked.behind().is_zero());
        asked.take(2);
        assert_eq!(asked.behind(), Duration::ZERO);
    }
}
