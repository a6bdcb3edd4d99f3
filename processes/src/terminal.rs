//! The terminal's foreground.

use std::io::{IsTerminal as _, stdin};

use rustix::termios::{tcgetpgrp, tcsetpgrp};

use crate::{Running, Signal, strays};

/// If this program is in the foreground of the terminal on its stdin, put the process there instead. A program that reads
/// before that is stopped by the kernel, so it is told to go on.
pub(crate) fn hand_over(running: &Running) {
    let stdin = stdin();
    // From the background it must not be tried: the kernel would stop this program.
    let in_foreground = strays::own_group().is_some_and(|group| tcgetpgrp(&stdin) == Ok(group));
    if !stdin.is_terminal() || !in_foreground {
        return;
    }
    match tcsetpgrp(&stdin, running.pid) {
        Ok(()) => running.tell_group(Signal::CONT),
        Err(error) => tracing::warn!(pid = running.pid(), %error, "cannot give the terminal to the process"),
    }
}
