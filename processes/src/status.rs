//! How a process ended.

use std::fmt;

use rustix::process::WaitStatus;

use crate::Signal;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It ended by itself, with this code (0 to 255).
    Exited(i32),
    /// A signal with this number ended it.
    Signaled(i32),
}

impl Status {
    /// What a shell would report: the code, or 128 + n after signal n.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(number) => 128 + number,
        }
    }

    /// Whether it ended by itself with code 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// `None` for a process that was only stopped or continued: it has not ended.
    pub(crate) fn from_wait(status: WaitStatus) -> Option<Self> {
        let exited = status.exit_status().map(Self::Exited);
        exited.or_else(|| status.terminating_signal().map(Self::Signaled))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signaled(number) => match Signal::from_number(number) {
                Some(signal) => write!(f, "ended by {signal}"),
                None => write!(f, "ended by signal {number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words() {
        assert!(Status::Exited(0).success());
        assert!(!Status::Exited(1).success());
        assert!(!Status::Signaled(15).success());
        assert_eq!(Status::Exited(7).exit_code(), 7);
        assert_eq!(Status::Signaled(9).exit_code(), 137);
        assert_eq!(Status::Exited(7).to_string(), "exited with code 7");
        assert_eq!(Status::Signaled(15).to_string(), "ended by SIGTERM");
        assert_eq!(Status::Signaled(40).to_string(), "ended by signal 40");
    }
}
