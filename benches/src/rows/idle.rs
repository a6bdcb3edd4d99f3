//! Target 5, the second half: a container that has nothing to do.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::fleet::{Directory, INITIAL};
use crate::Result;
use crate::bench::Bench;
use crate::contestants::{Contestant, Place};
use crate::harness::{Limit, OURS, Samples, Section, Unit};
use crate::stores::Store;

/// The list is read again and compared once a minute; a shorter time would see it by chance.
const WHOLE: Duration = Duration::from_mins(1);
const QUICK: Duration = Duration::from_secs(5);

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new("Idle", "`run` with one registration and three watches: at most 0.1 % of a core");
    let mut all = Vec::new();
    for kind in bench.kinds() {
        let store = Store::start(kind).await?;
        bench.used(&store);
        let mut writer = store.writer().await?;
        for path in Contestant::IDLE_WATCHES {
            Directory::fill(&mut writer, path, 10).await?;
        }
        let mut running = Contestant::Idle.start(bench, &store, Place::new("/", store.port())?)?;
        running.shows(INITIAL).await.map_err(|error| format!("{kind}: {error}"))?;
        all.push((store, running));
    }
    sleep(Duration::from_secs(2)).await;
    bench.listen_for_noise();
    let time = if bench.quick { QUICK } else { WHOLE };
    let used = || all.iter().map(|(_, running)| running.process().processor_time()).collect::<Result<Vec<_>>>();
    let (before, begun) = (used()?, Instant::now());
    sleep(time).await;
    let (after, passed) = (used()?, begun.elapsed());
    for ((before, after), (store, _)) in before.into_iter().zip(after).zip(&all) {
        let share = after.saturating_sub(before).as_secs_f64() * 100.0 / passed.as_secs_f64();
        let mut samples = Samples::default();
        samples.push(vec![share]);
        section.case(store.kind.to_string(), Unit::Percent, Limit::AtMost(0.1), [(OURS.to_owned(), samples)]);
    }
    section.note(format!("Over {} s, with the default TTL of 15 s.", time.as_secs()));
    Ok(section)
}
