//! One who wants many locks and offices, and keeps what it gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry::{Dir, Result};
use registry_recipes::{Election, Guard, Lock};
use tokio::task::JoinSet;

use super::{Context, LOOK};
use crate::history::{What, now};

/// How long one is kept at most, in seconds, so that it is handed on in good order as well.
const KEPT: std::ops::Range<u64> = 5..25;

/// What is wanted.
#[derive(Clone, Debug)]
enum Wanted {
    Lock(Lock),
    Office(Election),
}

impl Wanted {
    async fn get(&self, context: &Context) -> Result<Option<Guard>> {
        let (giving_up, who) = (context.stopped(), context.recorder.who().to_owned());
        match self {
            Self::Lock(lock) => lock.acquire_unless(giving_up, who).await,
            Self::Office(election) => Ok(election.campaign_unless(giving_up, who).await?.map(Guard::from)),
        }
    }
}

/// Contends for so many locks below `dir`, and for half as many offices.
///
/// # Panics
/// When the directory becomes too long.
pub async fn keep(context: Context, dir: Dir, count: usize, ttl: Duration) {
    let (context, mut all) = (Arc::new(context), JoinSet::new());
    let path = |kind: &str, number: usize| dir.join(&format!("{kind}-{number}")).expect("a valid path");
    for number in 0..count {
        let place = path("lock", number);
        let lock = Lock::new(Arc::clone(&context.registry), place.clone()).ttl(ttl);
        all.spawn(keep_one(Arc::clone(&context), Wanted::Lock(lock), place));
        if number % 2 == 0 {
            let place = path("office", number);
            let election = Election::new(Arc::clone(&context.registry), place.clone()).ttl(ttl);
            all.spawn(keep_one(Arc::clone(&context), Wanted::Office(election), place));
        }
    }
    while all.join_next().await.is_some() {}
}

async fn keep_one(context: Arc<Context>, wanted: Wanted, dir: Dir) {
    let name = dir.to_string();
    while !context.is_stopped() {
        match wanted.get(&context).await {
            Ok(Some(guard)) => {
                believe(&context, &name, &guard).await;
                let _ = guard.release().await;
            }
            Ok(None) => return,
            Err(error) => {
                context.recorder.record(What::Interrupted { why: error.to_string() });
                context.rest(Duration::from_millis(200)).await;
            }
        }
        context.rest(LOOK).await;
    }
}

/// As long as it is held, and not too long.
async fn believe(context: &Context, name: &str, guard: &Guard) {
    let (recorder, token, begun) = (&context.recorder, guard.token().position(), Instant::now());
    let kept = Duration::from_secs(fastrand::u64(KEPT));
    let mut last = now();
    if !guard.held() {
        return;
    }
    recorder.record(What::Acquired { lock: name.to_owned(), token });
    while begun.elapsed() < kept {
        let at = now();
        if !guard.held() {
            break;
        }
        last = at;
        if !context.rest(LOOK).await {
            break;
        }
    }
    recorder.record(What::Dropped { lock: name.to_owned(), token, last });
}
