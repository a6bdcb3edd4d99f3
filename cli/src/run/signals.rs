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
    let kinds: [(SignalKind, fn(u8) -> Asked); 7] = [
        (SignalKind::terminate(), Asked::Stop),
        (SignalKind::interrupt(), Asked::Stop),
        (SignalKind::quit(), Asked::StopNow),
        (SignalKind::hangup(), |_| Asked::Reload),
        (SignalKind::user_defined1(), |_| Asked::Forward(Signal::USR1)),
        (SignalKind::user_defined2(), |_| Asked::Forward(Signal::USR2)),
        (SignalKind::window_change(), |_| Asked::Forward(Signal::WINCH)),
    ];
    let (sender, receiver) = mpsc::unbounded_channel();
    for (kind, asked) in kinds {
        let asked = asked(u8::try_from(kind.as_raw_value()).unwrap_or_default());
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
