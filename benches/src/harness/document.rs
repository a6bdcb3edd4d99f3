//! Tables in a document.

use std::fs;
use std::path::Path;

use crate::Result;

/// Puts tables into a document, between its two marker lines; what stands around them stays.
pub(crate) fn insert(file: &Path, markers: (&str, &str), tables: &str) -> Result<()> {
    let named = |error: std::io::Error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(named)?;
    let changed = between(&text, markers, tables).ok_or_else(|| {
        format!("{} lacks the lines {:?} and {:?}, in this order", file.display(), markers.0, markers.1)
    })?;
    fs::write(file, changed).map_err(named)?;
    Ok(())
}

fn between(text: &str, (begin, end): (&str, &str), tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{tables}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let markers = ("<begin>", "<end>");
        assert_eq!(
            between("before\n<begin>\nold\n<end>\nafter\n", markers, "new").unwrap(),
            "before\n<begin>\n\nnew\n<end>\nafter\n"
        );
        assert_eq!(between("before", markers, "new"), None);
        assert_eq!(between("<end><begin>", markers, "new"), None);
    }
}
