//! Which variable belongs to which directory.

use registry_core::Scope;

/// The variable of every directory that has none of its own.
pub(crate) const COMMON: &str = "CLUSTER_MEMBERS";

/// True for the variables that this backend reads.
pub(crate) fn is_ours(variable: &str) -> bool {
    variable.strip_prefix(COMMON).is_some_and(|rest| rest.is_empty() || (rest.starts_with('_') && rest.len() > 1))
}

/// The variable of a scope's own directory: `CLUSTER_MEMBERS_REDIS` for `/clusters/redis`.
pub(crate) fn variable(scope: &Scope) -> String {
    let dir = match scope {
        Scope::Directory(dir) => dir.clone(),
        Scope::Entry(key) => key.dir(),
    };
    let last = dir.as_str().rsplit('/').next().unwrap_or_default();
    let upper = last.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("{COMMON}_{}", upper.collect::<String>())
}
