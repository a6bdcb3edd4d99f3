//! Target 4: memory, and the size of the program.

use std::fs;

use super::fleet::{Fleet, WINDOW};
use crate::Result;
use crate::bench::Bench;
use crate::contestants::Contestant;
use crate::harness::{FLOOR, Limit, Memory, OURS, Samples, Section, Unit};
use crate::stores::Kind;

/// What a process has come to hold after some changes is what it goes on holding.
const CHANGES: usize = 10;

/// One of the sizes.
type Pick = fn(&Memory) -> u64;

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new(
        "Memory",
        "resident at most twice the floor's, at 10 and at 10,000 members; the stripped release program with all backends at \
         most 12 MiB",
    );
    for size in [10, 10_000] {
        let contestants = Contestant::writers(bench, Kind::EtcdV3);
        let mut held: Vec<Vec<Memory>> = vec![Vec::new(); contestants.len()];
        for _ in 0..bench.rounds(5, 1) {
            bench.listen_for_noise();
            let mut fleet = Fleet::start(bench, Kind::EtcdV3, contestants.clone(), size, false).await?;
            for _ in 0..CHANGES {
                for follower in &mut fleet.all {
                    follower.change(&mut fleet.writer).await?;
                }
                tokio::time::sleep(WINDOW).await;
            }
            for (held, follower) in held.iter_mut().zip(&fleet.all) {
                held.push(follower.running.process().memory()?);
            }
        }
        let kinds: [(&str, Limit, Pick); 3] = [
            ("resident", Limit::Ratio(2.0), |memory| memory.resident),
            ("proportional", Limit::None, |memory| memory.proportional),
            ("peak", Limit::None, |memory| memory.peak),
        ];
        for (what, limit, pick) in kinds {
            let samples = held.iter().map(|held| samples(held, pick));
            let names = contestants.iter().map(|it| it.name().to_owned());
            section.case(format!("{what}, {size} members"), Unit::Mebibytes, limit, names.zip(samples));
        }
    }
    for (who, file, limit) in [(FLOOR, &bench.floor, Limit::None), (OURS, &bench.program, Limit::AtMost(12.0))] {
        section.value("size of the program", Unit::Mebibytes, limit, who, mebibytes(fs::metadata(file)?.len()));
    }
    section.note(format!(
        "On etcd v3, after {CHANGES} changes. Of a peer all its processes are counted; of ours the child that it supervises is not. \
         Proportional: pages that several processes share count in part."
    ));
    Ok(section)
}

fn samples(held: &[Memory], pick: Pick) -> Samples {
    let mut samples = Samples::default();
    for memory in held {
        samples.push(vec![mebibytes(pick(memory))]);
    }
    samples
}

#[expect(clippy::cast_precision_loss, reason = "what a process or a file holds")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
