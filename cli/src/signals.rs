//! The signals that this program gets.

use std::future::poll_fn;
use std::task::Poll;

use processes::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{ERROR, Failure, Outcome};

/// A request to end: TERM, INT, QUIT, or HUP when a terminal is closed.
pub(crate) struct Termination {
    kinds: Vec<(u8, tokio::signal::unix::Signal)>,
}

impl Termination {
    /// From now on these signals do not end the program by themselves. Those that whoever started it wants to be ignored,
    /// as `nohup` does, stay so.
    pub(crate) fn listen() -> Outcome<Self> {
        let kinds = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
        let ignored = ignored();
        let numbered = kinds.into_iter().map(|kind| (u8::try_from(kind.as_raw_value()).unwrap_or_default(), kind));
        let heard = numbered.filter(|(number, _)| ignored >> (number - 1) & 1 == 0);
        let kinds = heard.map(|(number, kind)| Ok((number, listen(kind)?))).collect::<Outcome<_>>()?;
        Ok(Self { kinds })
    }

    /// Returns at the next such signal. Cancel safe.
    pub(crate) async fn requested(&mut self) {
        self.signal().await;
    }

    /// The same, and which it was: the number that a shell adds to 128.
    pub(crate) async fn signal(&mut self) -> u8 {
        poll_fn(|context| {
            for (number, signal) in &mut self.kinds {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The signals that are ignored, as bits from signal 1 on. Nothing else tells without unsafe code.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Survives XFSZ from now on: a write beyond the largest size that a file may have (`ulimit -f`) fails with EFBIG, and is
/// reported as any other write that fails. It is caught and not ignored, because a caught signal gets its default back in
/// what this program starts; where it is ignored already, it stays so.
pub(crate) fn survive_file_size_limit() -> Outcome<()> {
    let number = Signal::XFSZ.number();
    if ignored() >> (number - 1) & 1 == 0 {
        // The handler outlives the stream of signals, which nobody reads.
        drop(listen(SignalKind::from_raw(number))?);
    }
    Ok(())
}

/// Listens to one kind of signal.
pub(crate) fn listen(kind: SignalKind) -> Outcome<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| Failure::new(ERROR, format!("cannot listen to signals: {error}")))
}
