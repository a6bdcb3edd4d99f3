//! Values measured in rounds, and what they say.

use serde::{Deserialize, Serialize};

/// How often the rounds are drawn again to see by how much chance moves a ratio.
const DRAWS: usize = 1000;
/// Equal samples get an equal interval.
const SEED: u64 = 20_261_122;

/// What one contestant showed, round by round. In each round all contestants are measured, so that what disturbs the machine
/// for longer than a round disturbs all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Samples {
    rounds: Vec<Vec<f64>>,
}

/// The value below which half, or 99 of 100, lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Statistic {
    Median,
    P99,
}

/// What all samples say together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) count: usize,
}

/// A ratio, and where it lies in 95 of 100 repetitions that draw from the same rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Samples {
    /// One value for each round.
    #[cfg(test)]
    pub(crate) fn single(values: impl IntoIterator<Item = f64>) -> Self {
        Self { rounds: values.into_iter().map(|value| vec![value]).collect() }
    }

    /// Adds the values of the next round.
    pub(crate) fn push(&mut self, round: Vec<f64>) {
        self.rounds.push(round);
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut all: Vec<f64> = self.rounds.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        let (min, max) = (all.first().copied(), all.last().copied());
        Summary {
            median: quantile(&all, 0.5),
            p99: quantile(&all, 0.99),
            min: min.unwrap_or(f64::NAN),
            max: max.unwrap_or(f64::NAN),
            count: all.len(),
        }
    }

    /// The ratio of a statistic to that of the floor. The interval is drawn pair by pair: a round of ours comes with the
    /// same round of the floor. `None` without a floor above 0.
    pub(crate) fn ratio(&self, floor: &Self, statistic: Statistic) -> Option<Interval> {
        let count = self.rounds.len().min(floor.rounds.len());
        let of = |rounds: &[usize]| {
            let value = |samples: &Self| {
                let mut all: Vec<f64> = rounds.iter().flat_map(|round| &samples.rounds[*round]).copied().collect();
                all.sort_by(f64::total_cmp);
                quantile(&all, statistic.share())
            };
            let ratio = value(self) / value(floor);
            (ratio.is_finite() && value(floor) > 0.0).then_some(ratio)
        };
        let value = of(&(0..count).collect::<Vec<_>>())?;
        let mut random = fastrand::Rng::with_seed(SEED);
        let draw = |_| of(&(0..count).map(|_| random.usize(0..count)).collect::<Vec<_>>());
        let mut drawn: Vec<f64> = (0..DRAWS).filter_map(draw).collect();
        drawn.sort_by(f64::total_cmp);
        drawn.first()?;
        Some(Interval { value, low: quantile(&drawn, 0.025), high: quantile(&drawn, 0.975) })
    }
}

impl Statistic {
    fn share(self) -> f64 {
        match self {
            Self::Median => 0.5,
            Self::P99 => 0.99,
        }
    }
}

/// The value at this share of sorted values, between two of them in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    #[expect(clippy::cast_precision_loss, reason = "there are never so many samples")]
    let place = share * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and `last`")]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert!(close(quantile(&values, 0.5), 50.0) && close(quantile(&values, 0.99), 99.0));
        assert!(close(quantile(&[1.0, 2.0], 0.5), 1.5));
        assert!(close(quantile(&[7.0], 0.99), 7.0));
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_summary_is_of_all_rounds() {
        let mut samples = Samples::default();
        samples.push(vec![3.0, 1.0]);
        samples.push(vec![2.0]);
        let summary = samples.summary();
        assert!(close(summary.median, 2.0) && close(summary.min, 1.0) && close(summary.max, 3.0));
        assert_eq!(summary.count, 3);
    }

    /// What disturbs a round disturbs both in it; a ratio that ignored the pairs would be far less certain.
    #[test]
    fn a_ratio_is_drawn_in_pairs() {
        let floor = Samples::single((1..=20).map(f64::from));
        let ours = Samples::single((1..=20).map(|value| 2.0 * f64::from(value)));
        let ratio = ours.ratio(&floor, Statistic::Median).unwrap();
        assert!(close(ratio.value, 2.0) && close(ratio.low, 2.0) && close(ratio.high, 2.0), "{ratio:?}");
    }

    #[test]
    fn an_interval_holds_its_value_and_grows_with_the_noise() {
        let floor = Samples::single([1.0; 20]);
        let noisy = |by: f64| Samples::single((0..20).map(move |round| 2.0 + by * f64::from(round % 5)));
        let calm = noisy(0.01).ratio(&floor, Statistic::Median).unwrap();
        let wild = noisy(0.5).ratio(&floor, Statistic::Median).unwrap();
        for ratio in [calm, wild] {
            assert!(ratio.low <= ratio.value && ratio.value <= ratio.high, "{ratio:?}");
        }
        assert!(wild.high - wild.low > 10.0 * (calm.high - calm.low), "{calm:?} {wild:?}");
    }

    #[test]
    fn the_slowest_of_a_hundred_is_seen_by_p99_alone() {
        let floor = Samples::single([1.0; 200]);
        let ours = Samples::single((0..200).map(|number| if number % 20 == 0 { 9.0 } else { 1.0 }));
        assert!(close(ours.ratio(&floor, Statistic::Median).unwrap().value, 1.0));
        assert!(close(ours.ratio(&floor, Statistic::P99).unwrap().value, 9.0));
    }

    #[test]
    fn without_a_floor_there_is_no_ratio() {
        let some = Samples::single([1.0]);
        assert_eq!(some.ratio(&Samples::default(), Statistic::Median), None);
        assert_eq!(some.ratio(&Samples::single([0.0]), Statistic::Median), None);
    }
}
