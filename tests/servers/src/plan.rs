//! What a server is to the two places where it can be.

use std::path::{Path, PathBuf};

use crate::Result;

/// One server's plan: which program with which arguments, and the ports on which it is reached.
pub(crate) trait Plan: Sync {
    /// The repository of its image.
    fn repository(&self) -> &'static str;

    /// The version, which is the tag of its image.
    fn version(&self) -> &'static str;

    fn program(&self) -> &'static str;

    /// The directory that has the program, when it is to be a process of this machine.
    fn programs(&self) -> Result<PathBuf>;

    /// The ports on which it is reached, inside a container and outside.
    fn ports(&self) -> Vec<u16>;

    fn arguments(&self, place: &Place<'_>) -> Vec<String>;

    /// A directory that it can read.
    fn files(&self) -> Option<&Path>;

    /// A child process, even where an engine answers.
    fn is_process(&self) -> bool;
}

/// The places as the server sees them.
pub(crate) struct Place<'a> {
    pub(crate) address: &'a str,
    pub(crate) data: &'a str,
    pub(crate) files: &'a str,
}
