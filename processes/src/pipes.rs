//! What goes into a process and what comes out of it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::process::Stdio;

use rustix::io::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{self, Receiver, Sender};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::table::Ended;
use crate::{Input, Output};

/// A pipe's usual capacity on Linux: more than one read can seldom give.
const CHUNK: usize = 64 * 1024;
/// The largest pipe that an unprivileged process can make. What a process wrote before its end is no longer than that.
const LARGEST_PIPE: usize = 1024 * 1024;

/// What a process wrote.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes, as many as were to be kept.
    pub bytes: Vec<u8>,
    /// How many more there were.
    pub dropped: u64,
}

impl Captured {
    /// As text; what is not UTF-8 is replaced. It may hold control characters: escape it before it goes to a terminal.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    fn take(&mut self, bytes: &[u8], limit: usize) {
        let (kept, dropped) = bytes.split_at(bytes.len().min(limit.saturating_sub(self.bytes.len())));
        self.bytes.extend_from_slice(kept);
        self.dropped = self.dropped.saturating_add(dropped.len() as u64);
    }
}

/// The size only: a process may print secrets.
impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Captured({} bytes, {} dropped)", self.bytes.len(), self.dropped)
    }
}

/// The result of one stream: `None` while it is read. The sender is gone from the start if nothing is captured.
pub(crate) type Collected = watch::Receiver<Option<Captured>>;

/// This program's ends of the pipes, made before the process is started so that nothing can fail afterwards.
pub(crate) struct Ends {
    stdin: Option<(Sender, Vec<u8>)>,
    stdout: Option<(Receiver, usize)>,
    stderr: Option<(Receiver, usize)>,
}

impl Ends {
    /// Both sides: ours, and what becomes the process's stdin, stdout and stderr. Must be called in the context of the
    /// runtime that [`attach`](Self::attach) gets.
    pub(crate) fn open(stdin: Input, stdout: Output, stderr: Output) -> io::Result<(Self, [Stdio; 3])> {
        let (feed, input) = match stdin {
            Input::Null => (None, Stdio::null()),
            Input::Inherit => (None, Stdio::inherit()),
            Input::Bytes(bytes) => {
                let (ours, theirs) = pipe::pipe()?;
                (Some((ours, bytes)), theirs.into_blocking_fd()?.into())
            }
        };
        let (stdout, output) = open_output(stdout)?;
        let (stderr, complaints) = open_output(stderr)?;
        Ok((Self { stdin: feed, stdout, stderr }, [input, output, complaints]))
    }

    /// Read and write until the process has ended. Gives the results of stdout and stderr.
    pub(crate) fn attach(self, runtime: &Handle, ended: &Ended) -> [Collected; 2] {
        if let Some((pipe, bytes)) = self.stdin {
            runtime.spawn(feed(pipe, bytes, ended.clone()));
        }
        [self.stdout, self.stderr].map(|output| {
            let (result, watcher) = watch::channel(None);
            if let Some((pipe, limit)) = output {
                let ended = ended.clone();
                runtime.spawn(async move { result.send_replace(Some(collect(pipe, limit, ended).await)) });
            }
            watcher
        })
    }
}

fn open_output(output: Output) -> io::Result<(Option<(Receiver, usize)>, Stdio)> {
    Ok(match output {
        Output::Inherit => (None, Stdio::inherit()),
        Output::Null => (None, Stdio::null()),
        Output::Capture { limit } => {
            let (theirs, ours) = pipe::pipe()?;
            (Some((ours, limit)), theirs.into_blocking_fd()?.into())
        }
    })
}

/// A process may end, or close its stdin, without having read everything (EPIPE); its status says whether that was right.
/// A grandchild that holds the pipe open does not keep this waiting.
async fn feed(mut pipe: Sender, bytes: Vec<u8>, mut ended: Ended) {
    tokio::select! {
        biased;
        _ = ended.wait_for(Option::is_some) => {}
        written = pipe.write_all(&bytes) => if let Err(error) = written {
            tracing::debug!(%error, "a process did not read all of its input");
        }
    }
}

async fn collect(mut pipe: Receiver, limit: usize, mut ended: Ended) -> Captured {
    let mut captured = Captured::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        tokio::select! {
            biased;
            _ = ended.wait_for(Option::is_some) => break,
            read = pipe.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return captured,
                Ok(length) => captured.take(&buffer[..length], limit),
            }
        }
    }
    drain(&pipe, &mut buffer, limit, &mut captured);
    captured
}

/// All that the process wrote is in the pipe when it has ended, so what is there now is all there is to wait for: the end
/// of the file would come only when the last grandchild has closed it. The descriptor is read directly because the runtime
/// may not know yet that there is something to read.
fn drain(pipe: &Receiver, buffer: &mut [u8], limit: usize, captured: &mut Captured) {
    let mut drained = 0;
    while drained < LARGEST_PIPE {
        match rustix::io::read(pipe.as_fd(), &mut *buffer) {
            Ok(0) => return,
            Ok(length) => {
                captured.take(&buffer[..length], limit);
                drained += length;
            }
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
