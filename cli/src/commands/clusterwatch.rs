//! `clusterwatch`: a cluster's files follow its members, and a command is run after each change.

use registry::Index;
use registry_handlers::NotifySpec;

use crate::aside::aside;
use crate::connecting::Session;
use crate::exit::{Failure, OK, Outcome};
use crate::following::Following;
use crate::patience::FOR_EVER;
use crate::run::files;
use crate::run::writing::Writing;
use crate::signals::Termination;

/// The name of the one notification.
const COMMAND: &str = "command";

/// What stands on the command line, in either of the two spellings of the old start scripts.
pub(super) struct Words {
    cluster: String,
    index: Index,
    command: Vec<String>,
}

impl Words {
    /// `CLUSTER INDEX COMMAND…`; what is given as an option is missing from the words.
    pub(super) fn sort(cluster: Option<String>, index: Option<String>, words: Vec<String>) -> Outcome<Self> {
        let mut words = words.into_iter();
        let cluster = cluster.or_else(|| words.next()).unwrap_or_default();
        let index = index.or_else(|| words.next()).unwrap_or_default();
        let index = index.parse().map_err(|error| {
            Failure::usage(format!(
                "{error}; give the number that `clusterprepare {cluster}` prints (it prints none when it fails)"
            ))
        })?;
        let command: Vec<_> = words.collect();
        if command.is_empty() {
            return Err(Failure::usage("say which command to run after a change"));
        }
        Ok(Self { cluster, index, command })
    }
}

pub(super) async fn run(session: Session, words: Words) -> Outcome {
    let Words { cluster, index, command } = words;
    let mut termination = Termination::listen()?;
    session.configuration.watch(&cluster)?;
    let mut wanted = session.configuration.files_of(&cluster);
    for file in &mut wanted {
        file.notify.push(COMMAND.into());
    }
    if wanted.is_empty() {
        let message = format!("the cluster {cluster:?} has no file (no handler), so nothing would ever be done");
        return Err(Failure::configuration(message));
    }
    let notify = NotifySpec::exec(COMMAND, command);
    let name = cluster.clone();
    let preparing = async {
        // A template may lie on a disk that hangs.
        let check = move || {
            let setup = files::legacy_setup(&session.configuration)?;
            let handlers = files::check(&session.configuration, &wanted, &[notify], setup)?;
            Outcome::Ok((session, handlers))
        };
        let (session, handlers) = aside(check).await??;
        let watches = session.configuration.watches_with(&name, &handlers.clusters())?;
        // The reader has started with what `clusterprepare` wrote. Whatever differs from that by now, and whatever changes from
        // now on, is written and told; so no change since the index is missed, however long ago that was.
        let (memory, patience) = (session.memory.clone(), session.patience(FOR_EVER));
        let following = Following::list(&*session.registry, &session.configuration, watches, memory, patience).await?;
        Outcome::Ok((session, handlers, following))
    };
    let (session, handlers, mut following) = tokio::select! {
        prepared = preparing => prepared?,
        () = termination.requested() => return Ok(OK),
    };
    if following.memberships.get(&cluster).is_some_and(|known| known.index.position() < index.position()) {
        tracing::warn!("{cluster}: the registry's history is shorter than {index}: it was wiped or restored");
    }
    let writing = Writing::start(handlers, &following.memberships);
    following.start(&session, &session.configuration);
    termination.requested().await;
    writing.stop().await;
    following.stop().await;
    Ok(OK)
}
