//! What is said about a view of the registry that is interrupted.

use std::time::{Duration, Instant};

use registry::{ErrorKind, Event};

use crate::configuration::WatchSpec;

/// The shortest time between two lines about interruptions that are over by themselves soon.
const BETWEEN: Duration = Duration::from_secs(10);

/// How a view stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stands {
    #[default]
    Fresh,
    /// The registry cannot be reached.
    Stale,
    /// It refuses us, and somebody has to grant a permission.
    Refused,
}

/// What was said about a view.
#[derive(Debug, Default)]
pub(crate) struct View {
    said: Stands,
    /// When it was last said to be stale.
    at: Option<Instant>,
    /// An interruption lasts that was not said.
    is_interrupted: bool,
    /// How many came and went since then without a line.
    unsaid: u32,
}

/// One line when the view becomes stale, one when the reason turns out to be a refusal, and one when it is fresh again. A
/// server that comes and goes all the time makes two lines in ten seconds, and the others are counted.
pub(crate) fn say(watch: &WatchSpec, event: &Event, view: &mut View) {
    match event {
        Event::Interrupted { error, stale_since, .. } => {
            let refused = matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied);
            let is_news = match view.said {
                Stands::Fresh => refused || view.at.is_none_or(|at| at.elapsed() >= BETWEEN),
                // A restart while it refuses us is no news.
                Stands::Stale => refused,
                Stands::Refused => false,
            };
            if is_news {
                let since = stale_since.elapsed().as_secs();
                let unsaid = std::mem::take(&mut view.unsaid);
                let before = if unsaid > 0 { format!(", after {unsaid} shorter interruptions") } else { String::new() };
                tracing::warn!(
                    "{}: stale since {since}s{before}: {error}; files and processes stay as they are",
                    watch.dir
                );
                view.said = if refused { Stands::Refused } else { Stands::Stale };
                view.at = Some(Instant::now());
            }
            view.is_interrupted = view.said == Stands::Fresh;
        }
        Event::Snapshot { .. } | Event::Resumed { .. } | Event::Changes(_) => {
            if std::mem::take(&mut view.said) != Stands::Fresh {
                tracing::info!("{}: fresh again", watch.dir);
            }
            view.unsaid += u32::from(std::mem::take(&mut view.is_interrupted));
        }
    }
}

#[cfg(test)]
mod tests {
    use registry::{Dir, Error, Index};

    use super::*;

    /// What is said follows from how the view was said to stand.
    #[test]
    fn an_outage_that_turns_into_a_refusal_is_news_once() {
        let mut view = View::default();
        let steps = [
            (interrupted(ErrorKind::Unavailable), Stands::Stale),
            (interrupted(ErrorKind::PermissionDenied), Stands::Refused),
            (interrupted(ErrorKind::Unavailable), Stands::Refused),
            (resumed(), Stands::Fresh),
            (interrupted(ErrorKind::Unauthenticated), Stands::Refused),
        ];
        for (event, expected) in steps {
            say(&watch(), &event, &mut view);
            assert_eq!(view.said, expected, "after {event:?}");
        }
    }

    #[test]
    fn a_server_that_comes_and_goes_is_said_once_in_a_while() {
        let mut view = View::default();
        let mut said = 0;
        for _ in 0..100 {
            for event in [interrupted(ErrorKind::Unavailable), interrupted(ErrorKind::Unavailable)] {
                say(&watch(), &event, &mut view);
            }
            said += u32::from(view.said == Stands::Stale);
            say(&watch(), &resumed(), &mut view);
        }
        assert_eq!((said, view.unsaid), (1, 99));
        // One that lasts is said as soon as ten seconds are over.
        say(&watch(), &interrupted(ErrorKind::Unavailable), &mut view);
        assert_eq!(view.said, Stands::Fresh);
        view.at = view.at.and_then(|at| at.checked_sub(BETWEEN));
        say(&watch(), &interrupted(ErrorKind::Unavailable), &mut view);
        assert_eq!((view.said, view.unsaid), (Stands::Stale, 0));
        say(&watch(), &resumed(), &mut view);
        assert_eq!((view.said, view.unsaid), (Stands::Fresh, 0), "it was said");
    }

    fn watch() -> WatchSpec {
        WatchSpec { name: "db".into(), dir: Dir::new("/clusters/db").unwrap(), grace: None }
    }

    fn interrupted(kind: ErrorKind) -> Event {
        let (retry_in, stale_since) = (Duration::from_secs(1), Instant::now());
        Event::Interrupted { error: Error::new(kind, "why"), retry_in, stale_since }
    }

    fn resumed() -> Event {
        Event::Resumed { index: Index::default() }
    }
}
