//! The directory for what must outlive one process of a container, and nothing longer.

use std::env;
use std::path::{Path, PathBuf};

/// `cluster-control` below `$XDG_RUNTIME_DIR`, or below `/run` for root; `None` when there is none.
pub(crate) fn directory() -> Option<PathBuf> {
    let runtime = match env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
        _ if rustix::process::geteuid().is_root() => PathBuf::from("/run"),
        _ => return None,
    };
    Some(runtime.join("cluster-control"))
}
