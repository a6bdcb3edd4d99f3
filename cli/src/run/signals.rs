//! What each signal means to `run`.

use processes::Signal;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use crate::exit::Outcome;
use crate::signals::listen;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// TERM or INT, by its number: stop; again: without drain; again: kill.
    Stop(u8),
    /// QUIT, by its number: stop without drain.
    StopNow(u8),
    /// HUP: read the configuration again.
    Reload,
    /// For the child.
    Forward(Signal),
}

/// From now on none of these signals ends the program by itself; each is delivered here.
pub(super) fn listen_to_all() -> Outcome<mpsc::UnboundedReceiver<Asked>> {
    let number = |kind: SignalKind| u8::try_from(kind.as_raw_value()).unwrap_or_default();
    let (terminate, interrupt, quit) = (SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit());
    let kinds = [
        (terminate, Asked::Stop(number(terminate))),
        (interrupt, Asked::Stop(number(interrupt))),
        (quit, Asked::StopNow(number(quit))),
        (SignalKind::hangup(), Asked::Reload),
        (SignalKind::user_defined1(), Asked::Forward(Signal::USR1)),
        (SignalKind::user_defined2(), Asked::Forward(Signal::USR2)),
        (SignalKind::window_change(), Asked::Forward(Signal::WINCH)),
    ];
    let (sender, receiver) = mpsc::unbounded_channel();
    for (kind, asked) in kinds {
        let (mut signals, sender) = (listen(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(asked).is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}
