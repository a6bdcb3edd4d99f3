//! A client that wants a lock, and looks away.

use std::sync::Arc;
use std::time::Duration;

use registry::Dir;
use registry_recipes::Lock;
use tokio::time::sleep;

use super::list::Locking;
use crate::history::{What, now};
use crate::subjects::{Context, LOOK, Resource};

/// How often it writes before it gives the lock back.
const WRITES: u32 = 20;

pub(super) async fn hold(context: Context, dir: Dir, ttl: Duration, resource: Arc<Resource>, defect: Locking) {
    let lock = Lock::new(Arc::clone(&context.registry), dir.clone()).ttl(ttl);
    let name = dir.to_string();
    let mut count = 0;
    while !context.is_stopped() {
        let Ok(Some(guard)) = lock.acquire_unless(context.stopped(), context.recorder.who().to_owned()).await else {
            context.rest(Duration::from_millis(100)).await;
            continue;
        };
        count += 1;
        let token = if defect == Locking::LocalToken { count } else { guard.token().position() };
        if guard.held() {
            let mut last = now();
            context.recorder.record(What::Acquired { lock: name.clone(), token });
            for _ in 0..WRITES {
                let at = now();
                if guard.held() || defect == Locking::BeyondDeadline {
                    last = at;
                } else if defect != Locking::Unfenced {
                    break;
                }
                sleep(Duration::from_millis(3)).await;
                match defect {
                    Locking::Unfenced => resource.write_unfenced(&name, token, &context.recorder),
                    _ => resource.write(&name, token, &context.recorder),
                };
                sleep(LOOK).await;
            }
            context.recorder.record(What::Dropped { lock: name.clone(), token, last });
        }
        let _ = guard.release().await;
        sleep(LOOK).await;
    }
}
