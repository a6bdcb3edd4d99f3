//! What this backend must know about a real Consul (the rows of the survey that are named in the tests), and about answers
//! that no real one should give.

mod cluster;
mod keys;
mod restoring;
mod scripted;
mod secrets;
mod seen;
mod services;
mod support;
mod visible;
mod watching;
