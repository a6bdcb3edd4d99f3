//! What a server's version says about its faults.

/// A server's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32, u32);

impl Version {
    /// A server that does not tell its version is trusted with nothing.
    pub(crate) const UNKNOWN: Self = Self(0, 0, 0);

    /// Reads `3.5.16` or `3.6.0-rc.1`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = text.split(['.', '-', '+']).map(str::parse);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Self(major, minor, patch),
            _ => Self::UNKNOWN,
        }
    }

    /// Before 3.4.36 and 3.5.18 a watch that catches up across a compaction can lose a deletion silently.
    pub(crate) fn loses_events(self) -> bool {
        self < Self(3, 4, 36) || (self >= Self(3, 5, 0) && self < Self(3, 5, 18))
    }

    /// Before 3.4.25 and 3.5.8 a progress notification may name a revision whose events have not been sent yet.
    pub(crate) fn tells_true_progress(self) -> bool {
        self >= Self(3, 4, 25) && !(self >= Self(3, 5, 0) && self < Self(3, 5, 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_faults_of_each_line() {
        for (text, loses, truthful) in [
            ("3.3.25", true, false),
            ("3.4.23", true, false),
            ("3.4.25", true, true),
            ("3.4.36", false, true),
            ("3.5.0", true, false),
            ("3.5.16", true, true),
            ("3.5.18", false, true),
            ("3.6.0-rc.1", false, true),
            ("4.0.0", false, true),
            ("", true, false),
            ("new", true, false),
        ] {
            let version = Version::parse(text);
            assert_eq!((version.loses_events(), version.tells_true_progress()), (loses, truthful), "{text:?}");
        }
    }
}
