//! One who does a part of the work.

use std::time::Duration;

use registry_recipes::partition::{Cluster, Member, Partition, Share};

use super::{Context, LOOK};
use crate::history::{Recorder, What, now};

/// Joins a partition: its part is counted from the entries of all members.
pub async fn join(context: Context, cluster: Cluster, workers: u64, ttl: Duration) {
    part(context, cluster, workers, ttl, false).await;
}

/// Claims stable indices.
pub async fn claim(context: Context, cluster: Cluster, workers: u64, ttl: Duration) {
    part(context, cluster, workers, ttl, true).await;
}

async fn part(mut context: Context, cluster: Cluster, workers: u64, ttl: Duration, stable: bool) {
    let name = context.recorder.who().to_owned();
    while !context.is_stopped() {
        let member = Member::new(workers).and_then(|member| member.id(&name)).expect("a valid member").ttl(ttl);
        let registry = std::sync::Arc::clone(&context.registry);
        let joined = if stable {
            Partition::claim_unless(&registry, &cluster, member, context.stopped()).await
        } else {
            Partition::join_unless(&registry, &cluster, member, context.stopped()).await
        };
        match joined {
            Ok(Some(partition)) => follow(&mut context, &cluster, partition, stable).await,
            Ok(None) => return,
            Err(error) => {
                context.recorder.record(What::Interrupted { why: error.to_string() });
            }
        }
        context.rest(Duration::from_millis(400)).await;
    }
}

async fn follow(context: &mut Context, cluster: &Cluster, mut partition: Partition, stable: bool) {
    let recorder = context.recorder.clone();
    let mut having = Having { recorder: &recorder, dir: cluster.dir().to_string(), stable, share: None };
    loop {
        let at = now();
        having.look(at, partition.share());
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            changed = partition.changed() => {
                let Ok(share) = changed else {
                    having.look(now(), Share::default());
                    return;
                };
                // A loss is told although the part may be back already.
                having.look(now(), share);
            }
            () = context.left() => {
                having.look(now(), Share::default());
                recorder.record(What::Deregistering { key: having.dir.clone() });
                let _ = partition.leave().await;
                return;
            }
        }
    }
}

/// The part that a member has, written down whenever that changes.
pub(crate) struct Having<'a> {
    pub(crate) recorder: &'a Recorder,
    pub(crate) dir: String,
    pub(crate) stable: bool,
    pub(crate) share: Option<(Share, u64)>,
}

impl Having<'_> {
    pub(crate) fn look(&mut self, at: u64, share: Share) {
        let share = share.base.is_some().then_some(share);
        let before = self.share;
        self.share = share.map(|share| (share, at));
        if let (Some((before, _)), Some(share)) = (before, share)
            && before.agrees_with(&share)
        {
            return;
        }
        if let (Some((_, last)), None) = (before, share) {
            self.recorder.record(What::NoPart { partition: self.dir.clone(), last });
        }
        if let Some(share) = share {
            self.recorder.record(What::Part {
                partition: self.dir.clone(),
                stable: self.stable,
                index: share.index.position(),
                base: share.base.unwrap_or_default(),
                workers: share.workers,
                total: share.total,
            });
        }
    }
}
