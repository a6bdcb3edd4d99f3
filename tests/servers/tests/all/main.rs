//! The servers themselves, on the real thing. `TEST_SERVERS=process` runs the same tests without containers.

mod cluster;
mod fake_http;
mod lifetime;
mod options;
mod removal;
mod witness;
