//! The configured files and notifications, made ready to be written.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;

use processes::Processes;
use registry_handlers::{FileSpec, Handlers, Memberships, NotifySpec, Outcome as Written, Pending, Setup, SignalChild};

use crate::configuration::Configuration;
use crate::exit::{ERROR, Failure, Outcome};
use crate::runtime;

/// Commands that are run for the files do not get these: they may hold credentials.
const HIDDEN: [&str; 4] = ["CLUSTER_CONTROL_REGISTRY", "ETCDCTL_PASSWORD", "ETCDCTL_USER", "ETCDCTL_AUTH_JWT_TOKEN"];

/// The one place that waits for processes, started if it is not yet.
pub(crate) fn processes() -> Outcome<Processes> {
    Processes::start().map_err(|error| Failure::new(ERROR, format!("cannot start: {error}")))
}

/// Starts the one place that waits for processes, and remembers on disk, where there is one, who is still to be told.
pub(crate) fn setup(configuration: &Configuration, child: Option<SignalChild>) -> Outcome<Setup> {
    let mut setup = Setup::new(processes()?, pending(configuration));
    setup.child = child;
    setup.hidden = HIDDEN.map(Into::into).into();
    Ok(setup)
}

/// Checks files and notifications as a whole.
pub(crate) fn check(
    configuration: &Configuration,
    files: &[FileSpec],
    notifies: &[NotifySpec],
    setup: Setup,
) -> Outcome<Handlers> {
    let place = configuration.path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
    Handlers::new(files, notifies, setup).map_err(|error| Failure::configuration(format!("{place}{error}")))
}

/// Writes every file once.
pub(crate) async fn prepare(handlers: &mut Handlers, memberships: &Memberships) -> Outcome<()> {
    for file in handlers.prepare(memberships).await {
        match file.result {
            Ok(Written::Held(why)) => tracing::warn!("{}: kept as it is: {why}", file.dest.display()),
            Ok(_) => tracing::debug!("{}: is up to date", file.dest.display()),
            Err(error) => return Err(Failure::new(ERROR, error.to_string())),
        }
    }
    Ok(())
}

/// One place for each configuration.
fn pending(configuration: &Configuration) -> Pending {
    let Some(dir) = runtime::directory() else { return Pending::in_memory() };
    let mut hasher = DefaultHasher::new();
    configuration.path.as_deref().map(|path| fs::canonicalize(path).unwrap_or(path.into())).hash(&mut hasher);
    let dir = dir.join(format!("pending-{:016x}", hasher.finish()));
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    let opened = made
        .map_err(|error| error.to_string())
        .and_then(|()| Pending::in_directory(&dir).map_err(|error| error.to_string()));
    opened.unwrap_or_else(|problem| {
        // A read-only container without a runtime directory: what was written just before a crash is not told again.
        tracing::debug!("{}: {problem}; notifications that are due are remembered in memory only", dir.display());
        Pending::in_memory()
    })
}
