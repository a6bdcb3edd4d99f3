//! `check`: one probe, in place of curl and nc in an image.

use std::time::Duration;

use crate::arguments::Global;
use crate::configuration::{Configuration, ProbeSpec, Target};
use crate::exit::{ERROR, Failure, OK, Outcome};
use crate::probing::ask;
use crate::withheld;

pub(super) async fn run(global: &Global, target: &str, command: Vec<String>) -> Outcome {
    let target = match (target, target.strip_prefix("tcp://")) {
        ("exec", _) if !command.is_empty() => Target::Exec(command),
        (_, Some(address)) if command.is_empty() => Target::Tcp(address.to_owned()),
        (url, None) if command.is_empty() && url != "exec" => Target::Http(url.to_owned()),
        _ => {
            return Err(Failure::usage(
                "write `check tcp://HOST:PORT`, `check http://HOST/PATH` or `check exec -- COMMAND`",
            ));
        }
    };
    target.check().map_err(Failure::usage)?;
    let processes = withheld::processes(&Configuration::load_if_possible(global)?)?;
    let probe = ProbeSpec { target, timeout: global.timeout.unwrap_or(Duration::from_secs(5)) };
    ask(&probe, &processes).await.map_err(|problem| Failure::new(ERROR, problem))?;
    Ok(OK)
}
