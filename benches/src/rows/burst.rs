//! Target 7: many changes at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::fleet::{Fleet, Follower, WINDOW, milliseconds, rotated};
use crate::Result;
use crate::bench::Bench;
use crate::contestants::Contestant;
use crate::harness::{Limit, Samples, Section, Unit};
use crate::stores::Writer;

const MEMBERS: usize = 50;
const CHANGES: usize = 500;

/// What one of them did with a burst.
#[derive(Clone, Default)]
struct Done {
    /// From the last acknowledgement to the final state, in milliseconds.
    after: Samples,
    rewrites: Samples,
    by_window: Samples,
    /// Members that are not what they were set to at last.
    lost: Samples,
}

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new(
        "Burst",
        "500 changes one after the other: the file holds the final state within one window (200 ms) of the last \
         acknowledgement, at most two rewrites for each window, nothing lost",
    );
    for kind in bench.kinds() {
        let mut fleet = Fleet::start(bench, kind, Contestant::writers(bench, kind), MEMBERS, false).await?;
        let mut all = vec![Done::default(); fleet.all.len()];
        for round in 0..bench.rounds(10, 2) {
            bench.listen_for_noise();
            for number in rotated(round, fleet.all.len()) {
                let burst = burst(&mut fleet.all[number], &mut fleet.writer).await;
                let [after, rewrites, by_window, lost] = burst.map_err(|error| format!("{kind}: {error}"))?;
                let done = &mut all[number];
                done.after.push(vec![after]);
                done.rewrites.push(vec![rewrites]);
                done.by_window.push(vec![by_window]);
                done.lost.push(vec![lost]);
            }
        }
        let names: Vec<_> = fleet.all.iter().map(|it| it.contestant.name().to_owned()).collect();
        let mut case = |what: &str, unit, limit, pick: fn(&Done) -> &Samples| {
            let samples = all.iter().map(|done| pick(done).clone());
            section.case(format!("{kind}, {what}"), unit, limit, names.iter().cloned().zip(samples));
        };
        case("final state after", Unit::Milliseconds, Limit::AtMost(milliseconds(WINDOW)), |done| &done.after);
        case("rewrites", Unit::Count, Limit::None, |done| &done.rewrites);
        case("rewrites for each window", Unit::Count, Limit::AtMost(2.0), |done| &done.by_window);
        case("lost", Unit::Count, Limit::AtMost(0.0), |done| &done.lost);
    }
    section.note(format!("{CHANGES} changes of {MEMBERS} members, each sent when the one before was acknowledged."));
    Ok(section)
}

async fn burst(follower: &mut Follower, writer: &mut Writer) -> Result<[f64; 4]> {
    // The last burst has been taken up, and its window is over.
    sleep(2 * WINDOW).await;
    follower.running.count();
    let begun = Instant::now();
    let mut newest = String::new();
    for _ in 0..CHANGES {
        let (key, value) = follower.next();
        writer.put(&key, &value).await?;
        newest = value;
    }
    let acknowledged = Instant::now();
    // A tool that loses changes may show the last one and lack one before, or never show the last.
    let shown = follower.running.shows(&newest).await;
    // Whatever it still wants to do counts as well.
    sleep(2 * WINDOW).await;
    let rewrites = follower.running.count();
    let lost = lost(&follower.running.content()?, follower.expected())?;
    let after = shown.map_or_else(|_| acknowledged.elapsed(), |shown| shown.saturating_duration_since(acknowledged));
    let after = milliseconds(after);
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    let (rewrites, lost) = (rewrites as f64, lost as f64);
    Ok([after, rewrites, rewrites / windows(acknowledged - begun, after), lost])
}

/// How many windows have begun until the final state was there.
fn windows(burst: Duration, after: f64) -> f64 {
    ((milliseconds(burst) + after) / milliseconds(WINDOW)).ceil().max(1.0)
}

/// How many members the file does not show as they were set at last.
fn lost(content: &[u8], expected: &BTreeMap<String, String>) -> Result<usize> {
    let shown: BTreeMap<String, String> = serde_json::from_slice(content)?;
    Ok(expected.iter().filter(|(name, value)| shown.get(*name) != Some(value)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_has_begun_counts() {
        let windows = |burst, after| windows(Duration::from_millis(burst), after);
        assert!((windows(0, 1.0) - 1.0).abs() < 1e-9);
        assert!((windows(201, 0.0) - 2.0).abs() < 1e-9);
        assert!((windows(300, 150.0) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_missing_or_old_is_lost() {
        let expected = [("a", "2"), ("b", "2"), ("c", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(lost(br#"{"a":"2","b":"1"}"#, &expected.clone().into()).unwrap(), 2);
        assert_eq!(lost(br#"{"a":"2","b":"2","c":"1","d":""}"#, &expected.into()).unwrap(), 0);
        assert!(lost(b"[", &BTreeMap::new()).is_err());
    }
}
