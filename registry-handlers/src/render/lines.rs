//! One name on each line.

use crate::members::Members;
use crate::model::Model;

/// All members in order. A name holds no white space, so this cannot be misread.
pub(super) fn render(model: &Model) -> Vec<u8> {
    let names = model.clusters.values().flat_map(Members::names);
    names.flat_map(|name| [name.as_str(), "\n"]).collect::<String>().into_bytes()
}
