//! `register`: an entry for as long as this process lives.

use std::time::Duration;

use registry::{Key, RegistryExt};
use serde_json::json;

use crate::arguments::{Format, Own};
use crate::connecting::Session;
use crate::exit::{EVICTED, Failure, OK, Outcome};
use crate::output::print_line_aside;
use crate::patience::patiently;
use crate::releasing::give_back;
use crate::run::registering::{say, stands};
use crate::signals::Termination;

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn run(session: Session, own: &Own, once: bool, output: Option<Format>) -> Outcome {
    let own = session.configuration.own(own, &*session.registry)?;
    let own = own.ok_or_else(|| Failure::usage("say what to register: --cluster and --id, or --key"))?;
    let (registry, options) = (&session.registry, own.options());
    if once {
        let set = || registry.register(&own.key, own.value.clone().into(), &options);
        let lease = patiently(&**registry, session.patience(PATIENCE), set).await?;
        show(&own.key, lease.token().position(), output).await?;
        return Ok(OK);
    }
    let mut termination = Termination::listen()?;
    let mut announced = registry.begin(own.key.clone(), own.value.clone(), options)?;
    tokio::select! {
        stands = stands(&own.key, &mut announced) => stands?,
        // What is on its way may arrive all the same.
        () = termination.requested() => return give_back(announced).await,
    }
    let showing = show(&own.key, announced.token().map_or(0, registry::Index::position), output);
    tokio::pin!(showing);
    let (mut status, mut shown) = (announced.watch(), false);
    loop {
        tokio::select! {
            result = &mut showing, if !shown => {
                shown = true;
                if let Err(failure) = result {
                    give_back(announced).await?;
                    return Err(failure);
                }
            }
            changed = status.changed() => {
                let now = status.borrow_and_update().clone();
                say(&own.key, &now);
                if changed.is_err() || now.is_final() {
                    return Ok(EVICTED);
                }
            }
            () = termination.requested() => return give_back(announced).await,
        }
    }
}

async fn show(key: &Key, token: u64, output: Option<Format>) -> Outcome<()> {
    match output {
        None => Ok(()),
        Some(Format::Text) => print_line_aside(key.to_string()).await,
        Some(Format::Json | Format::Ndjson) => {
            print_line_aside(json!({ "key": key.as_str(), "token": token }).to_string()).await
        }
    }
}
