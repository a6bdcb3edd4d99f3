//! Target 3: from the start to the first file.

use super::fleet::{Directory, INITIAL, milliseconds, rotated};
use crate::Result;
use crate::bench::Bench;
use crate::contestants::{Contestant, Place};
use crate::harness::{Limit, Samples, Section, Unit};
use crate::stores::{Kind, Store};

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new(
        "First file",
        "with 10,000 members at most 1.3 times the floor's time; on sqlite with 10 members at most 15 ms",
    );
    for (kind, size, limit) in [
        (Kind::EtcdV3, 10, Limit::None),
        (Kind::EtcdV3, 10_000, Limit::Ratio(1.3)),
        (Kind::Sqlite, 10, Limit::AtMost(15.0)),
    ] {
        let store = Store::start(kind).await?;
        bench.used(&store);
        let directory = Directory::fill(&mut store.writer().await?, "/bench/members", size).await?;
        let contestants = Contestant::writers(bench, kind);
        let mut samples = vec![Samples::default(); contestants.len()];
        for round in 0..bench.rounds(20, 3) {
            bench.listen_for_noise();
            for number in rotated(round, contestants.len()) {
                let place = Place::new(&directory.path, store.port())?;
                let mut running = contestants[number].start(bench, &store, place)?;
                let shown = running.shows(INITIAL).await?;
                samples[number].push(vec![milliseconds(shown - running.started())]);
            }
        }
        let names = contestants.iter().map(|it| it.name().to_owned());
        section.case(format!("{kind}, {size} members"), Unit::Milliseconds, limit, names.zip(samples));
    }
    section.note("From the start of the process to the file in its place.");
    Ok(section)
}
