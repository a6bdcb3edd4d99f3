//! A member of a partition that believes what it likes.

use std::sync::Arc;
use std::time::Duration;

use registry_recipes::partition::{Cluster, Member, Partition, Share};
use tokio::time::sleep;

use super::list::Parting;
use crate::history::now;
use crate::subjects::{Context, Having, LOOK};

pub(super) async fn take_part(context: Context, cluster: Cluster, ttl: Duration, defect: Parting) {
    let stable = defect == Parting::KeepsSlot;
    let recorder = context.recorder.clone();
    let mut having = Having { recorder: &recorder, dir: cluster.dir().to_string(), stable, share: None };
    let mut first = None;
    while !context.is_stopped() {
        let name = context.recorder.who();
        let member = Member::new(2).and_then(|member| member.id(name)).expect("a valid member").ttl(ttl);
        let registry = Arc::clone(&context.registry);
        let partition = if stable {
            Partition::claim_unless(&registry, &cluster, member, context.stopped()).await
        } else {
            Partition::join_unless(&registry, &cluster, member, context.stopped()).await
        };
        if let Ok(Some(partition)) = partition {
            while !context.is_stopped() {
                let at = now();
                let share = believed(partition.share(), defect, &mut first);
                having.look(at, share);
                sleep(LOOK).await;
            }
            let _ = partition.leave().await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    having.look(now(), Share::default());
}

fn believed(share: Share, defect: Parting, first: &mut Option<Share>) -> Share {
    match (defect, share.base) {
        (Parting::KeepsPart | Parting::KeepsSlot, Some(_)) => *first.get_or_insert(share),
        (Parting::KeepsPart | Parting::KeepsSlot, None) => first.unwrap_or(share),
        (Parting::OtherEnd, Some(base)) => Share { base: Some(share.total - base - share.workers), ..share },
        _ => share,
    }
}
