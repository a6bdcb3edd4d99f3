//! A secret that everybody on the way can read.

use registry_address::Address;

/// Warns when `what` (such as `the password`) would travel, unprotected, over a network. To be asked once, when a registry is
/// prepared, and only where there is such a secret.
pub fn warn_if_exposed(address: &Address, what: &str) {
    if address.is_exposed() {
        let (scheme, secure) = (address.scheme(), address.secure_scheme());
        tracing::warn!(endpoints = ?address.endpoints, "{what} travels without protection over `{scheme}://`: use `{secure}://`");
    }
}
