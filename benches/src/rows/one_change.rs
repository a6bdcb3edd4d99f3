//! Target 2: what one change costs, by the number of members.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::fleet::{Fleet, WINDOW, milliseconds, rotated};
use crate::Result;
use crate::bench::Bench;
use crate::contestants::Contestant;
use crate::harness::{Limit, OURS, Samples, Section, Unit};
use crate::stores::Kind;

/// By how much what does not grow may differ between the smallest and the largest directory.
const FLAT: f64 = 1.5;

/// What one contestant showed with one number of members.
struct Shown {
    who: String,
    prints: bool,
    bytes: Samples,
    time: Samples,
}

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new(
        "One change",
        "the server's bytes for one change do not grow with the members; the processor's time is at most 1.5 times that of \
         the floor that renders the same file; who watches without rendering needs the same for any number of members",
    );
    let sizes: &[usize] = if bench.quick { &[100, 10_000] } else { &[100, 1_000, 10_000, 100_000] };
    let mut by_size = Vec::new();
    for &size in sizes {
        let shown = of_size(bench, size).await?;
        for (what, prints) in [("with a file", false), ("only watched", true)] {
            let of = |pick: fn(&Shown) -> &Samples| {
                let some = shown.iter().filter(move |it| it.prints == prints);
                some.map(move |it| (it.who.clone(), pick(it).clone())).collect::<Vec<_>>()
            };
            let limit = if prints { Limit::None } else { Limit::Ratio(1.5) };
            section.case(
                format!("bytes from the server, {size} members, {what}"),
                Unit::Bytes,
                Limit::None,
                of(|it| &it.bytes),
            );
            section.case(
                format!("processor time, {size} members, {what}"),
                Unit::Microseconds,
                limit,
                of(|it| &it.time),
            );
        }
        by_size.push(shown);
    }
    if let [first, .., last] = &by_size[..] {
        for (few, many) in first.iter().zip(last) {
            let growth = |pick: fn(&Shown) -> &Samples| pick(many).summary().median / pick(few).summary().median;
            let (from, to) = (sizes[0], sizes[sizes.len() - 1]);
            let mut grown = |what: &str, limit, value| {
                section.value(
                    format!("growth of {what} from {from} to {to} members, {}", few.who),
                    Unit::Count,
                    limit,
                    OURS,
                    value,
                );
            };
            if few.who.starts_with(OURS) || few.who == LIBRARY {
                grown("bytes", Limit::AtMost(FLAT), growth(|it| &it.bytes));
                let limit = if few.prints { Limit::AtMost(FLAT) } else { Limit::None };
                grown("processor time", limit, growth(|it| &it.time));
            }
        }
    }
    section.note(
        "On etcd v3. A change is one put; between two of one contestant lies more than the window of 200 ms. The floor with the \
         promises writes on another thread, and syncs the directory after the rename.",
    );
    Ok(section)
}

const LIBRARY: &str = "the library";

async fn of_size(bench: &Bench, size: usize) -> Result<Vec<Shown>> {
    let mut contestants = Contestant::writers_and_promises(bench, Kind::EtcdV3);
    contestants.extend([Contestant::FloorPrints, Contestant::OursPrints, Contestant::Library]);
    let mut fleet = Fleet::start(bench, Kind::EtcdV3, contestants, size, true).await?;
    let mut all: Vec<_> = fleet.all.iter().map(|it| Shown::nothing(&it.contestant)).collect();
    let changes = bench.rounds(5, 2);
    for round in 0..bench.rounds(10, 3) {
        bench.listen_for_noise();
        for number in rotated(round, fleet.all.len()) {
            let follower = &mut fleet.all[number];
            let used = |follower: &super::fleet::Follower| -> Result<(Duration, u64)> {
                let bytes = follower.relay.as_ref().map_or(0, crate::harness::Relay::sent);
                Ok((follower.running.process().processor_time()?, bytes))
            };
            let before = used(follower)?;
            for _ in 0..changes {
                let rested = Instant::now() + WINDOW + WINDOW / 4;
                follower.change(&mut fleet.writer).await?;
                sleep_until(rested).await;
            }
            let after = used(follower)?;
            #[expect(clippy::cast_precision_loss, reason = "few bytes, few changes")]
            let (bytes, times) = ((after.1 - before.1) as f64, changes as f64);
            all[number].bytes.push(vec![bytes / times]);
            all[number].time.push(vec![milliseconds(after.0.saturating_sub(before.0)) * 1e3 / times]);
        }
    }
    Ok(all)
}

impl Shown {
    fn nothing(contestant: &Contestant) -> Self {
        let prints = matches!(contestant, Contestant::FloorPrints | Contestant::OursPrints | Contestant::Library);
        Self { who: contestant.name().to_owned(), prints, bytes: Samples::default(), time: Samples::default() }
    }
}
