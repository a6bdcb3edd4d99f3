//! The keeper of a registration: renews in time, knows its deadline, comes back, gives way.

mod ending;
mod losing;
mod renewing;
mod runtimes;
mod single;
mod starting;
mod watching;

use std::sync::Arc;

use registry_core::{RegisterOptions, Registration, RegistryExt};
use tokio::time::Instant;

use crate::support::{Fake, key, options};

/// The entry `a` with the value `1`; nothing but renewals tells how it stands.
async fn announce(fake: &Arc<Fake>) -> Registration {
    announce_with(fake, options().without_watch()).await
}

async fn announce_with(fake: &Arc<Fake>, options: RegisterOptions) -> Registration {
    fake.announce(key("a"), "1", options).await.expect("announced")
}

/// When the entry ends on the server if nobody renews it again.
fn expires(fake: &Fake) -> Instant {
    fake.change(|core| core.oracle.get(&key("a")).expect("the entry stands").expires)
}
