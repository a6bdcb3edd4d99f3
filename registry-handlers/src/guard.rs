//! What must not be written: a loss that is more likely a fault than the truth.

use std::fmt::Write as _;

use crate::membership::Clusters;
use crate::spec::{FileSpec, OnEmpty};

/// Decides which members a file is made of.
#[derive(Debug)]
pub(crate) struct Guard {
    on_empty: OnEmpty,
    min_members: usize,
    /// The last members of each cluster that were let through.
    good: Clusters,
}

/// The decision.
#[derive(Debug, PartialEq)]
pub(crate) struct Admitted {
    /// What to write; `None` keeps the file as it is.
    pub(crate) clusters: Option<Clusters>,
    /// What was held back, for a human.
    pub(crate) held: Option<String>,
}

impl Guard {
    pub(crate) fn new(spec: &FileSpec) -> Self {
        Self { on_empty: spec.on_empty, min_members: spec.min_members, good: Clusters::new() }
    }

    /// A cluster that lost too many keeps its last good members, and the others go on. Where no good ones are known (this
    /// program has just started) the file stays as it is; without a file (`has_content` is false) an empty cluster is
    /// written, since an application needs its file, but never fewer than `min_members`.
    pub(crate) fn admit(&mut self, clusters: Clusters, has_content: bool) -> Admitted {
        let mut held = String::new();
        let mut whole = true;
        let mut admitted = Clusters::new();
        for (name, known) in clusters {
            let count = known.members.len();
            let too_few = count < self.min_members;
            let empty = count == 0 && self.on_empty == OnEmpty::Keep;
            if !too_few && !empty {
                self.good.insert(name.clone(), known.clone());
                admitted.insert(name, known);
                continue;
            }
            let good = self.good.get(&name);
            let was_empty = good.is_some_and(|good| good.members.is_empty());
            if !too_few && (was_empty || (good.is_none() && !has_content)) {
                // Remembered as such, or the next change of another cluster would find a file and be held up by this one.
                self.good.insert(name.clone(), known.clone());
                admitted.insert(name, known);
                continue;
            }
            // Writing to a String cannot fail.
            let _ = write!(held, "{}{name} has {}: ", if held.is_empty() { "" } else { "; " }, counted(count));
            let kept = if good.is_some() { "its last members are kept" } else { "the file is kept as it is" };
            let _ = match self.min_members {
                least if too_few => write!(held, "fewer than {least}, {kept}"),
                _ => write!(held, "{kept}"),
            };
            match good {
                Some(good) => drop(admitted.insert(name, good.clone())),
                None => whole = false,
            }
        }
        Admitted { clusters: whole.then_some(admitted), held: (!held.is_empty()).then_some(held) }
    }
}

fn counted(count: usize) -> String {
    match count {
        0 => "no members".to_owned(),
        1 => "1 member".to_owned(),
        more => format!("{more} members"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Membership;
    use crate::spec::FileKind;
    use registry_core::{Bytes, Name};

    fn guard(change: impl FnOnce(&mut FileSpec)) -> Guard {
        let mut spec = FileSpec::new(FileKind::Lines, ["db"], "/x");
        change(&mut spec);
        Guard::new(&spec)
    }

    fn clusters(list: &[(&str, &[&str])]) -> Clusters {
        let members = |names: &[&str]| Membership {
            members: names.iter().map(|name| (Name::new(name).unwrap(), Bytes::new())).collect(),
            ..Membership::default()
        };
        list.iter().map(|(name, names)| ((*name).into(), members(names))).collect()
    }

    fn names(admitted: &Admitted) -> Option<Vec<String>> {
        let clusters = admitted.clusters.as_ref()?;
        Some(
            clusters
                .iter()
                .flat_map(|(c, known)| known.members.names().map(move |name| format!("{c}.{name}")))
                .collect(),
        )
    }

    #[test]
    fn an_empty_cluster_replaces_nothing() {
        let mut guard = guard(|_| {});
        let none = guard.admit(clusters(&[("db", &[])]), true);
        assert_eq!(none.clusters, None);
        assert_eq!(none.held.as_deref(), Some("db has no members: the file is kept as it is"));
        assert_eq!(names(&guard.admit(clusters(&[("db", &["a"])]), true)).unwrap(), ["db.a"]);
        let kept = guard.admit(clusters(&[("db", &[])]), true);
        assert_eq!(names(&kept).unwrap(), ["db.a"]);
        assert_eq!(kept.held.as_deref(), Some("db has no members: its last members are kept"));
        assert_eq!(guard.admit(clusters(&[("db", &["b"])]), true).held, None);
    }

    #[test]
    fn without_a_file_an_empty_cluster_is_written() {
        let admitted = guard(|_| {}).admit(clusters(&[("db", &[])]), false);
        assert_eq!((names(&admitted), admitted.held), (Some(vec![]), None));
        let admitted = guard(|spec| spec.min_members = 1).admit(clusters(&[("db", &[])]), false);
        assert_eq!(admitted.clusters, None);
        assert_eq!(admitted.held.as_deref(), Some("db has no members: fewer than 1, the file is kept as it is"));
    }

    #[test]
    fn a_cluster_that_was_always_empty_holds_up_nobody() {
        let mut guard = guard(|_| {});
        guard.admit(clusters(&[("db", &["a"]), ("web", &[])]), false);
        let admitted = guard.admit(clusters(&[("db", &["b"]), ("web", &[])]), true);
        assert_eq!((names(&admitted).unwrap(), admitted.held), (vec!["db.b".to_owned()], None));
        guard.admit(clusters(&[("db", &["b"]), ("web", &["w"])]), true);
        let admitted = guard.admit(clusters(&[("db", &["b"]), ("web", &[])]), true);
        assert_eq!(names(&admitted).unwrap(), ["db.b", "web.w"]);
    }

    #[test]
    fn render_writes_the_empty_cluster() {
        let mut guard = guard(|spec| spec.on_empty = OnEmpty::Render);
        assert_eq!(names(&guard.admit(clusters(&[("db", &[])]), true)), Some(vec![]));
    }

    #[test]
    fn one_cluster_does_not_hold_up_another() {
        let mut guard = guard(|spec| spec.min_members = 2);
        guard.admit(clusters(&[("db", &["a", "b"]), ("web", &["x", "y"])]), true);
        let admitted = guard.admit(clusters(&[("db", &["a"]), ("web", &["x", "z"])]), true);
        assert_eq!(names(&admitted).unwrap(), ["db.a", "db.b", "web.x", "web.z"]);
        assert_eq!(admitted.held.as_deref(), Some("db has 1 member: fewer than 2, its last members are kept"));
    }
}
