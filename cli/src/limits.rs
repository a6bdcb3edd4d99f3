//! What this process must be allowed to, to do its work as a whole.

use rustix::process::{Resource, getrlimit};

use crate::exit::{CONFIGURATION, Failure, Outcome};

/// As many files may be open at the same time: those of the runtime, of a few connections, of the child, and of what is
/// being written, with room for more of each.
const FILES: u64 = 64;

/// Refuses to begin with what would stop half-way: one part could go on while another cannot open its file.
pub(crate) fn check() -> Outcome<()> {
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < FILES => {
            let message =
                format!("only {allowed} files may be open, and {FILES} are needed: raise that limit (ulimit -n)");
            Err(Failure::new(CONFIGURATION, message))
        }
        _ => Ok(()),
    }
}
