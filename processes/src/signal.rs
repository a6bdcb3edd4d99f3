//! Signals by name and number.

use std::fmt;
use std::str::FromStr;

use rustix::process::Signal as Raw;

/// A signal that can be sent to a process.
///
/// Parses `TERM`, `SIGTERM` and `15`, in any case. Prints as `SIGTERM`.
///
/// ```
/// use processes::Signal;
/// assert_eq!("sigterm".parse(), Ok(Signal::TERM));
/// assert_eq!("9".parse(), Ok(Signal::KILL));
/// assert_eq!(Signal::HUP.to_string(), "SIGHUP");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signal(Raw);

/// Every signal that has a name on Linux. Where one has two, the one to print comes first.
const NAMES: &[(&str, Raw)] = &[
    ("HUP", Raw::HUP),
    ("INT", Raw::INT),
    ("QUIT", Raw::QUIT),
    ("ILL", Raw::ILL),
    ("TRAP", Raw::TRAP),
    ("ABRT", Raw::ABORT),
    ("IOT", Raw::ABORT),
    ("BUS", Raw::BUS),
    ("FPE", Raw::FPE),
    ("KILL", Raw::KILL),
    ("USR1", Raw::USR1),
    ("SEGV", Raw::SEGV),
    ("USR2", Raw::USR2),
    ("PIPE", Raw::PIPE),
    ("ALRM", Raw::ALARM),
    ("TERM", Raw::TERM),
    ("CHLD", Raw::CHILD),
    ("CLD", Raw::CHILD),
    ("CONT", Raw::CONT),
    ("STOP", Raw::STOP),
    ("TSTP", Raw::TSTP),
    ("TTIN", Raw::TTIN),
    ("TTOU", Raw::TTOU),
    ("URG", Raw::URG),
    ("XCPU", Raw::XCPU),
    ("XFSZ", Raw::XFSZ),
    ("VTALRM", Raw::VTALARM),
    ("PROF", Raw::PROF),
    ("WINCH", Raw::WINCH),
    ("IO", Raw::IO),
    ("POLL", Raw::IO),
    ("PWR", Raw::POWER),
    ("SYS", Raw::SYS),
];

impl Signal {
    /// Hang-up; by custom: read the configuration again.
    pub const HUP: Self = Self(Raw::HUP);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(Raw::INT);
    /// Quit; some servers finish their open requests first.
    pub const QUIT: Self = Self(Raw::QUIT);
    /// The polite request to end.
    pub const TERM: Self = Self(Raw::TERM);
    /// Ends a process without asking it.
    pub const KILL: Self = Self(Raw::KILL);
    /// Free for the program's own use.
    pub const USR1: Self = Self(Raw::USR1);
    /// Free for the program's own use.
    pub const USR2: Self = Self(Raw::USR2);
    /// The terminal's size changed; some servers use it for their own purpose.
    pub const WINCH: Self = Self(Raw::WINCH);
    /// A file would become larger than `ulimit -f` allows.
    pub const XFSZ: Self = Self(Raw::XFSZ);
    /// Continue after a stop.
    pub const CONT: Self = Self(Raw::CONT);

    /// The signal with this number; `None` where the number has no name. Realtime signals have none.
    pub fn from_number(number: i32) -> Option<Self> {
        NAMES.iter().find(|(_, raw)| raw.as_raw() == number).map(|&(_, raw)| Self(raw))
    }

    /// The number of this signal on this machine.
    pub fn number(self) -> i32 {
        self.0.as_raw()
    }

    pub(crate) fn raw(self) -> Raw {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, raw)| *raw == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.number()),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A word that names no signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSignal(String);

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a signal: use a name such as TERM or SIGTERM, or its number (realtime signals are not supported)",
            self.0
        )
    }
}

impl std::error::Error for UnknownSignal {}

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let unknown = || UnknownSignal(text.to_owned());
        let word = text.trim().to_ascii_uppercase();
        if let Ok(number) = word.parse::<i32>() {
            return Self::from_number(number).ok_or_else(unknown);
        }
        let name = word.strip_prefix("SIG").unwrap_or(&word);
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, raw)| Self(raw)).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_number_leads_back_to_the_signal() {
        for &(name, raw) in NAMES {
            let signal = Signal(raw);
            assert_eq!(name.parse(), Ok(signal));
            assert_eq!(format!("sig{}", name.to_lowercase()).parse(), Ok(signal));
            assert_eq!(signal.to_string().parse(), Ok(signal));
            assert_eq!(signal.number().to_string().parse(), Ok(signal));
        }
        assert_eq!(Signal::TERM.number(), 15);
        assert_eq!(" Term ".parse(), Ok(Signal::TERM));
    }

    #[test]
    fn what_is_no_signal_is_refused_by_name() {
        for wrong in ["", "SIG", "TERMINATE", "0", "-15", "35", "SIGSIGTERM", "99999999999"] {
            let error = wrong.parse::<Signal>().unwrap_err();
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
