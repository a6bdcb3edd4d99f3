//! `render`: the files, once.

use std::time::Duration;

use registry_handlers::{FileKind, FileSpec};

use crate::configuration::{Configuration, WatchSpec};
use crate::connecting::Session;
use crate::exit::{ERROR, Failure, OK, Outcome};
use crate::following::{Following, Memory};
use crate::output::print;
use crate::run::files;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(session: Session, given: &[String], clusters: &[String], dry_run: bool) -> Outcome {
    let configuration = &session.configuration;
    let mut watches = configuration.watches.clone();
    let mut wanted = configuration.files.clone();
    let mut to_stdout = dry_run;
    if !given.is_empty() {
        watches = clusters.iter().map(|name| ad_hoc(configuration, name)).collect::<Outcome<_>>()?;
        wanted = given.iter().map(|pair| template(pair, &watches)).collect::<Outcome<_>>()?;
        to_stdout |= given.iter().any(|pair| pair.ends_with(":-"));
    }
    if wanted.is_empty() {
        return Err(Failure::usage("there is nothing to render: name SRC:DEST, or a configuration with files"));
    }
    for file in &mut wanted {
        // Whoever runs this by hand tells the readers by hand.
        file.notify.clear();
    }
    let mut handlers = files::check(configuration, &wanted, &[], files::setup(configuration, None)?)?;
    let patience = session.patience(PATIENCE);
    let following = Following::list(&*session.registry, configuration, watches, Memory::none(), patience).await?;
    if !to_stdout {
        files::prepare(&mut handlers, &following.memberships).await?;
        return Ok(OK);
    }
    for (dest, content) in handlers.preview(&following.memberships).await {
        let content = content.map_err(|error| Failure::new(ERROR, error.to_string()))?.unwrap_or_default();
        if wanted.len() > 1 {
            print(&format!("--- {}\n", dest.display()))?;
        }
        print(&String::from_utf8_lossy(&content))?;
    }
    Ok(OK)
}

/// A cluster that the configuration need not know.
fn ad_hoc(configuration: &Configuration, cluster: &str) -> Outcome<WatchSpec> {
    let name = cluster.rsplit('/').next().unwrap_or(cluster);
    Ok(WatchSpec { name: name.to_owned(), dir: configuration.dir(cluster)?, grace: None })
}

fn template(pair: &str, watches: &[WatchSpec]) -> Outcome<FileSpec> {
    let (src, dest) =
        pair.split_once(':').filter(|(src, dest)| !src.is_empty() && !dest.is_empty()).ok_or_else(|| {
            Failure::usage(format!(
                "{pair:?} is not SRC:DEST: the template, a colon, and where to write (`-` is stdout)"
            ))
        })?;
    let dest = if dest == "-" { "stdout" } else { dest };
    let mut file = FileSpec::new(FileKind::Template, watches.iter().map(|watch| watch.name.clone()), dest);
    file.src = Some(src.into());
    Ok(file)
}
