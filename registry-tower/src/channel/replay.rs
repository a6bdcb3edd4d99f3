//! A request body that can be sent a second time.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http_body::{Body as _, Frame};
use registry::Bytes;
use tonic::Status;
use tonic::body::Body;

/// How much of a body is kept for a second attempt. Of a larger one nothing is kept; its request is sent again only if
/// none of it was read.
const KEPT: usize = 1 << 20;

/// The body of one request, for as many attempts as it takes.
pub(super) struct Replay(Arc<Mutex<Shared>>);

struct Shared {
    /// What has not been read yet.
    rest: Body,
    /// What the attempts so far have read; what of it the current one has.
    read: Vec<Bytes>,
    position: usize,
    size: usize,
    keep: Keep,
    /// The number of the current attempt. Earlier ones may still be held by a connection that is breaking down.
    attempt: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Yes,
    /// The request needs no further attempt.
    Settled,
    /// Something was read and not kept.
    TooMuch,
}

impl Replay {
    pub(super) fn new(body: Body) -> Self {
        let shared = Shared { rest: body, read: Vec::new(), position: 0, size: 0, keep: Keep::Yes, attempt: 0 };
        Self(Arc::new(Mutex::new(shared)))
    }

    /// The body from its beginning. Ends all earlier attempts.
    pub(super) fn attempt(&self) -> Body {
        let number = {
            let shared = &mut *lock(&self.0);
            (shared.attempt, shared.position) = (shared.attempt + 1, 0);
            shared.attempt
        };
        Body::new(Attempt { shared: Arc::clone(&self.0), number })
    }

    /// Whether there can be another attempt.
    pub(super) fn repeatable(&self) -> bool {
        lock(&self.0).keep == Keep::Yes
    }

    /// There will be no further attempt; nothing is kept from here on.
    pub(super) fn settle(&self) {
        let shared = &mut *lock(&self.0);
        shared.read.drain(..shared.position);
        (shared.position, shared.keep) = (0, Keep::Settled);
    }
}

impl Shared {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.read.get(self.position) {
            self.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        let frame = Pin::new(&mut self.rest).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Keep::Yes) = (&frame, self.keep) {
            self.keep(frame);
        }
        frame
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        self.size += frame.data_ref().map_or(0, Bytes::len);
        match frame.data_ref() {
            Some(data) if self.size <= KEPT => {
                self.read.push(data.clone());
                self.position = self.read.len();
            }
            // Trailers, which gRPC's requests do not have, are not kept either.
            _ => (self.keep, self.read, self.position) = (Keep::TooMuch, Vec::new(), 0),
        }
    }
}

/// The body as one attempt reads it.
struct Attempt {
    shared: Arc<Mutex<Shared>>,
    number: usize,
}

impl http_body::Body for Attempt {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let shared = &mut *lock(&self.shared);
        if shared.attempt == self.number {
            shared.poll_frame(context)
        } else {
            Poll::Ready(Some(Err(Status::cancelled("the request is sent to another server"))))
        }
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared.position == shared.read.len() && shared.rest.is_end_stream()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use super::*;

    struct Frames(VecDeque<Bytes>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    fn replay(frames: &[&'static str]) -> Replay {
        Replay::new(Body::new(Frames(frames.iter().map(|text| Bytes::from_static(text.as_bytes())).collect())))
    }

    /// The next frame; an error as its message.
    async fn next(body: &mut Body) -> Option<String> {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        Some(match frame {
            Ok(frame) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
            Err(status) => status.message().to_owned(),
        })
    }

    async fn all(body: &mut Body) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(frame) = next(body).await {
            frames.push(frame);
        }
        frames
    }

    #[tokio::test]
    async fn each_attempt_reads_the_whole_and_only_the_last_one_reads_on() {
        let replay = replay(&["a", "b", "c"]);
        let mut first = replay.attempt();
        assert_eq!(next(&mut first).await.unwrap(), "a");
        assert_eq!(next(&mut first).await.unwrap(), "b");
        let mut second = replay.attempt();
        assert_eq!(next(&mut second).await.unwrap(), "a");
        assert_eq!(next(&mut first).await.unwrap(), "the request is sent to another server");
        assert_eq!(all(&mut second).await, ["b", "c"]);
        assert!(replay.repeatable());
        assert_eq!(all(&mut replay.attempt()).await, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_settled_body_is_read_to_its_end_and_keeps_nothing() {
        let replay = replay(&["a", "b", "c", "d"]);
        let mut first = replay.attempt();
        assert_eq!([next(&mut first).await.unwrap(), next(&mut first).await.unwrap()], ["a", "b"]);
        let mut second = replay.attempt();
        assert_eq!(next(&mut second).await.unwrap(), "a");
        replay.settle();
        assert_eq!(all(&mut second).await, ["b", "c", "d"]);
        assert_eq!(lock(&replay.0).read, ["b"], "what was read before it was settled");
    }

    #[tokio::test]
    async fn a_large_body_is_not_kept_and_not_repeated_once_it_was_read() {
        let large: &'static str = Box::leak("x".repeat(KEPT / 2).into_boxed_str());
        let replay = replay(&[large, large, "y", "z"]);
        assert!(replay.repeatable());
        let mut only = replay.attempt();
        assert_eq!([next(&mut only).await.unwrap(), next(&mut only).await.unwrap()], [large, large]);
        assert!(replay.repeatable());
        assert_eq!(all(&mut only).await, ["y", "z"]);
        assert!(!replay.repeatable());
        assert!(lock(&replay.0).read.is_empty());
    }
}
