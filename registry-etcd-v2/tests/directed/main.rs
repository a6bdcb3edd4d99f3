//! What this backend must know about real servers (the rows of the survey that are named in the tests), and about
//! answers that no real server should give.

mod answers;
mod owning;
mod scripted;
mod secrets;
mod support;
mod switching;
mod watching;
