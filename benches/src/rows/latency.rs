//! Target 1: from the acknowledgement of a change to the file that shows it.

use tokio::time::{Instant, sleep_until};

use super::fleet::{Fleet, WINDOW, rotated};
use crate::Result;
use crate::bench::Bench;
use crate::contestants::Contestant;
use crate::harness::{Limit, Samples, Section, Unit};
use crate::stores::Kind;

const MEMBERS: usize = 10;

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new(
        "Latency",
        "an acknowledged change is in the file, fsync on, after at most 1.3 times the floor's time, median and p99, on etcd v3 \
         and v2; sqlite: from one process's write to another's file at most 5 ms (median)",
    );
    for kind in bench.kinds() {
        let fleet = Fleet::start(bench, kind, Contestant::writers_and_promises(bench, kind), MEMBERS, false).await?;
        follow(bench, &mut section, fleet).await?;
    }
    section.note(format!(
        "{MEMBERS} members. The time ends when the new file is put in its place. It may be negative: a server tells watchers \
         and acknowledges at the same time. The floor with the promises writes on another thread, as ours does, so that a disk \
         that hangs keeps nobody from renewing."
    ));
    Ok(section)
}

async fn follow(bench: &Bench, section: &mut Section, mut fleet: Fleet) -> Result<()> {
    let mut samples = vec![Samples::default(); fleet.all.len()];
    let changes = bench.rounds(10, 5);
    for round in 0..bench.rounds(40, 3) {
        bench.listen_for_noise();
        let mut times = vec![Vec::new(); fleet.all.len()];
        for _ in 0..changes {
            // Each is measured when it rests; what it does in a burst is another row.
            let rested = Instant::now() + WINDOW + WINDOW / 4;
            for number in rotated(round, fleet.all.len()) {
                times[number].push(fleet.all[number].change(&mut fleet.writer).await?);
            }
            sleep_until(rested).await;
        }
        for (samples, times) in samples.iter_mut().zip(times) {
            samples.push(times);
        }
    }
    let kind = fleet.kind();
    let limit = match kind {
        Kind::EtcdV3 | Kind::EtcdV2 => Limit::Ratios(1.3),
        Kind::Consul => Limit::None,
        Kind::Sqlite => Limit::AtMost(5.0),
    };
    let names = fleet.all.iter().map(|it| it.contestant.name().to_owned());
    section.case(kind.to_string(), Unit::Milliseconds, limit, names.zip(samples));
    Ok(())
}
