//! A client that keeps an entry by itself: it registers, renews after a third of the time, and registers again.

use std::time::Duration;

use registry::{Bytes, Condition, ErrorKind, Key, Lease, RegisterOptions, Result};
use tokio::time::{Instant, sleep};

use super::list::Registering;
use crate::history::{What, now};
use crate::subjects::{Belief, Context, LOOK};

pub(super) async fn register(context: Context, key: Key, ttl: Duration, defect: Registering) {
    context.recorder.record(What::Announcing { key: key.to_string(), absent: true });
    let recorder = context.recorder.clone();
    let belief = Belief { recorder: &recorder, key: &key, held: None };
    let mut registrar =
        Registrar { context: &context, key: &key, ttl, defect, belief, token: 0, until: Instant::now() };
    tokio::select! {
        () = registrar.keep() => {}
        () = context.stopped() => {}
    }
    registrar.belief.look(now(), None, "stopped");
    context.recorder.record(What::Deregistering { key: key.to_string() });
}

struct Registrar<'a> {
    context: &'a Context,
    key: &'a Key,
    ttl: Duration,
    defect: Registering,
    belief: Belief<'a>,
    token: u64,
    /// Until when it believes in its entry.
    until: Instant,
}

impl Registrar<'_> {
    async fn keep(&mut self) {
        loop {
            let lease = self.register().await;
            self.renew(lease).await;
            self.belief.look(now(), None, "lost");
            if self.defect == Registering::NoReregister {
                return std::future::pending().await;
            }
        }
    }

    async fn register(&mut self) -> Lease {
        let condition = if self.defect == Registering::Steals { Condition::Any } else { Condition::Absent };
        let options = RegisterOptions::new().ttl(self.ttl).condition(condition);
        loop {
            let sent = Instant::now();
            let value = Bytes::from(format!("{}-{}", self.context.recorder.who(), now()));
            match self.context.registry.register(self.key, value, &options).await {
                Ok(lease) => {
                    (self.token, self.until) = (lease.token().position(), sent + self.safe());
                    return lease;
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    self.context.recorder.record(What::Conflict { key: self.key.to_string() });
                }
                Err(_) if self.defect == Registering::Assumes => {
                    self.token += 1;
                    self.belief.look(now(), Some(self.token), "assumed");
                }
                Err(_) => {}
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Renews until the entry is lost.
    async fn renew(&mut self, lease: Lease) {
        let mut due = Instant::now() + self.ttl / 3;
        loop {
            if Instant::now() >= due {
                let sent = Instant::now();
                due = sent + self.ttl / 3;
                let renewed = tokio::time::timeout(self.ttl / 3, self.context.registry.renew(&lease)).await;
                if !self.counts(renewed.ok(), sent) {
                    return;
                }
            }
            let at = now();
            let stands = Instant::now() < self.until;
            self.belief.look(at, stands.then_some(self.token), "late");
            if !stands && self.defect != Registering::NoReregister {
                // It may stand or not; the server will say so when it answers.
                due = Instant::now();
            }
            sleep(LOOK).await;
        }
    }

    /// What becomes of a renewal. False: the entry is lost.
    fn counts(&mut self, renewed: Option<Result<()>>, sent: Instant) -> bool {
        let good = match renewed {
            Some(Ok(())) => true,
            Some(Err(error)) if error.is_lost() => match self.defect {
                Registering::KeyNotChecked => true,
                _ => return false,
            },
            _ => match self.defect {
                Registering::RenewedOnSending => true,
                Registering::Forgets => return false,
                _ => return Instant::now() < self.until,
            },
        };
        if good {
            self.until = sent + self.safe();
        }
        true
    }

    /// A little less than the time to live.
    fn safe(&self) -> Duration {
        self.ttl.mul_f64(0.9)
    }
}
