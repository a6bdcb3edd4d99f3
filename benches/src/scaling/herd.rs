//! Everybody comes back at once: a simulation of what follows an outage, with the library's own backing off.

use std::collections::VecDeque;
use std::time::Duration;

use registry::Backoff;

/// The steps of the simulated clock.
const STEP: Duration = Duration::from_millis(10);
/// More than so many are not simulated one by one; the servers are made smaller in proportion.
const SAMPLE: u32 = 50_000;
/// As the subscriptions and registrations of the library have them.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// After this all waits have grown to the longest.
const GROWN: Duration = Duration::from_secs(10);
/// A request that is not answered within this is made again.
const PATIENCE: Duration = Duration::from_secs(5);
/// When it is given up: the servers never catch up.
const END: Duration = Duration::from_hours(1);

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// Watches and registrations that have to be taken up again.
    pub(crate) clients: f64,
    /// How long nobody is answered.
    pub(crate) lasts: Duration,
    /// Requests that the servers answer per second afterwards.
    pub(crate) capacity: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Herd {
    /// The most requests in any one second while nobody was answered, once the waits have grown.
    pub(crate) peak_during: f64,
    /// The most requests in any one second once the servers are back.
    pub(crate) peak_after: f64,
    /// From the end of the outage until the last is served; `None`: not within an hour.
    pub(crate) recovered: Option<Duration>,
    /// Requests for each client after the outage; one is needed.
    pub(crate) requests: f64,
}

/// How waits are drawn.
pub(crate) trait Waits {
    fn next_wait(&mut self) -> Duration;
}

impl Waits for Backoff {
    fn next_wait(&mut self) -> Duration {
        Backoff::next_wait(self)
    }
}

pub(crate) fn simulate(outage: Outage) -> Herd {
    fastrand::seed(20_261_122);
    simulate_with(outage, || Backoff::new(FIRST_WAIT, LONGEST_WAIT))
}

/// The same with other waits.
pub(crate) fn simulate_with<W: Waits>(outage: Outage, waits: impl Fn() -> W) -> Herd {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is at most the sample")]
    let sample = (outage.clients.min(f64::from(SAMPLE)).ceil() as usize).max(1);
    let scale = outage.clients / count(sample);
    let mut play = Play {
        served_per_step: outage.capacity / scale * STEP.as_secs_f64(),
        back_at: steps(outage.lasts),
        wheel: VecDeque::new(),
        waits: (0..sample).map(|_| waits()).collect(),
        queue: 0.0,
        left: sample,
        arrivals: Vec::new(),
    };
    // The servers break all connections in the same moment, and everybody tries again as the library does.
    for client in 0..sample {
        let wait = play.waits[client].next_wait();
        play.at(steps(wait), client);
    }
    let mut last = None;
    for step in 0..play.back_at + steps(END) {
        if play.step(step) {
            last = Some(step);
            break;
        }
    }
    let (during, after) = play.arrivals.split_at(play.back_at.min(play.arrivals.len()));
    let (second, grown) = (steps(Duration::from_secs(1)), steps(GROWN));
    Herd {
        peak_during: peak(during.get(grown..).unwrap_or_default(), second) * scale,
        peak_after: peak(after, second) * scale,
        recovered: last.map(|step| STEP * u32::try_from(step.saturating_sub(play.back_at)).unwrap_or(u32::MAX)),
        requests: after.iter().sum::<f64>() / count(sample),
    }
}

struct Play<W> {
    served_per_step: f64,
    back_at: usize,
    /// Who makes a request in which step from now on.
    wheel: VecDeque<Vec<usize>>,
    waits: Vec<W>,
    /// Requests that wait for the servers.
    queue: f64,
    /// Who is not served yet.
    left: usize,
    /// Requests of each step.
    arrivals: Vec<f64>,
}

impl<W: Waits> Play<W> {
    /// Plans a request so many steps from now.
    fn at(&mut self, steps: usize, client: usize) {
        if self.wheel.len() <= steps {
            self.wheel.resize(steps + 1, Vec::new());
        }
        self.wheel[steps].push(client);
    }

    /// One step; true when everybody is served.
    fn step(&mut self, step: usize) -> bool {
        let arriving = self.wheel.pop_front().unwrap_or_default();
        self.arrivals.push(count(arriving.len()));
        let back = step >= self.back_at;
        for client in arriving {
            let mut late = 0;
            if back {
                // What would be answered too late is given up before its turn comes.
                let wait = (self.queue + 1.0) / self.served_per_step * STEP.as_secs_f64();
                if wait <= PATIENCE.as_secs_f64() {
                    self.queue += 1.0;
                    self.left -= 1;
                    continue;
                }
                late = steps(PATIENCE);
            }
            let wait = steps(self.waits[client].next_wait()).max(1);
            self.at(late + wait - 1, client);
        }
        if back {
            self.queue = (self.queue - self.served_per_step).max(0.0);
        }
        self.left == 0 && self.queue <= 0.0
    }
}

fn steps(span: Duration) -> usize {
    usize::try_from(span.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "there are never so many clients")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The most in any window of so many steps.
fn peak(arrivals: &[f64], window: usize) -> f64 {
    let mut sum: f64 = 0.0;
    let mut most: f64 = 0.0;
    for (at, arrived) in arrivals.iter().enumerate() {
        sum += arrived;
        if at >= window {
            sum -= arrivals[at - window];
        }
        most = most.max(sum);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTAGE: Outage = Outage { clients: 20_000.0, lasts: Duration::from_mins(1), capacity: 50_000.0 };

    /// Everybody after the same time: what jitter is there to prevent.
    struct InStep;

    impl Waits for InStep {
        fn next_wait(&mut self) -> Duration {
            LONGEST_WAIT
        }
    }

    #[test]
    fn waits_of_different_lengths_spread_the_herd() {
        let ours = simulate(OUTAGE);
        // Between one and a half and three seconds: no second sees many more than its share.
        let share = OUTAGE.clients / 2.25;
        assert!((share * 0.8..share * 1.3).contains(&ours.peak_during), "{ours:?}");
        assert!(ours.peak_after < share * 1.3, "{ours:?}");
        let in_step = simulate_with(OUTAGE, || InStep);
        assert!(in_step.peak_after >= OUTAGE.clients, "{in_step:?}");
    }

    #[test]
    fn servers_that_can_serve_all_recover_in_one_wait() {
        let herd = simulate(OUTAGE);
        assert!(herd.recovered.is_some_and(|after| after <= LONGEST_WAIT + STEP), "{herd:?}");
        assert!((herd.requests - 1.0).abs() < 1e-9, "{herd:?}");
    }

    #[test]
    fn slower_servers_are_asked_again_and_recover_later() {
        let herd = simulate(Outage { capacity: 1000.0, ..OUTAGE });
        assert!(herd.recovered.is_some_and(|after| after > Duration::from_secs(15)), "{herd:?}");
        assert!(herd.requests > 1.2, "{herd:?}");
    }

    #[test]
    fn a_sample_stands_for_all() {
        let [few, many] = [1.0, 100.0]
            .map(|times| simulate(Outage { clients: 40_000.0 * times, capacity: 20_000.0 * times, ..OUTAGE }));
        let ratio = many.peak_after / few.peak_after;
        assert!((90.0..110.0).contains(&ratio), "{few:?} {many:?}");
    }
}
