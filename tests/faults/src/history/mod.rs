//! What everybody did and saw: one line of JSON for each event, in a file that can be checked again at any time.

mod event;
mod recorder;

pub use event::{Change, Line, Members, Mode, Seen, What};
pub use recorder::{History, Recorder, now, read};
