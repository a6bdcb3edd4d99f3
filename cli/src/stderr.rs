//! stderr: what people read, and nothing that waits for them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stderr;

/// What a pipe takes at once when it takes anything (`pipe(7)`).
const PIECE: usize = 4096;
/// How long a reader may rest before messages are left out.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How many messages were left out since the last one that was written.
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

/// Writes each message at once, or leaves it out: a pipe that nobody empties must not keep an entry from being renewed, or
/// a signal from being heard. Messages that were left out are counted in front of the next one.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let left_out = LEFT_OUT.load(Ordering::Relaxed);
        if !has_room(left_out == 0) {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            return Ok(message.len());
        }
        if left_out > 0 {
            LEFT_OUT.fetch_sub(left_out, Ordering::Relaxed);
            io::stderr().write_all(format!("{left_out} messages were left out: nobody read them\n").as_bytes())?;
        }
        // It was asked already whether there is room for the first one, unless that was used.
        let mut has_room_already = left_out == 0;
        for piece in message.chunks(PIECE) {
            if !std::mem::take(&mut has_room_already) && !has_room(true) {
                break;
            }
            io::stderr().write_all(piece)?;
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a piece can be written without waiting. A file always has room; where nobody will ever read, the write tells.
fn has_room(patiently: bool) -> bool {
    let stderr = stderr();
    let mut asked = [PollFd::new(&stderr, PollFlags::OUT)];
    let limit = if patiently { PATIENCE } else { Timespec { tv_sec: 0, tv_nsec: 0 } };
    // A signal that comes in between is as good as a full pipe: the next message asks again.
    poll(&mut asked, Some(&limit)).is_ok_and(|ready| ready > 0)
}
