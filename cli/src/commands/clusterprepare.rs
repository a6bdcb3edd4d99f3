//! `clusterprepare`: a cluster's files, and the index from which to watch.

use std::time::Duration;

use crate::connecting::Session;
use crate::exit::{OK, Outcome};
use crate::following::Following;
use crate::output::print_line;
use crate::run::files;

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn run(session: Session, cluster: &str) -> Outcome {
    session.configuration.watch(cluster)?;
    let wanted = session.configuration.files_of(cluster);
    let mut handlers = files::check(&session.configuration, &wanted, &[], files::setup(&session.configuration, None)?)?;
    // A file may show other clusters as well; they are listed too, and the index printed is that of this one.
    let watches = session.configuration.watches_with(cluster, &handlers.clusters())?;
    let (memory, patience) = (session.memory.clone(), session.patience(PATIENCE));
    let following = Following::list(&*session.registry, &session.configuration, watches, memory, patience).await?;
    files::prepare(&mut handlers, &following.memberships).await?;
    let index = following.memberships.get(cluster).map(|known| known.index).unwrap_or_default();
    print_line(&index.to_string())?;
    Ok(OK)
}
