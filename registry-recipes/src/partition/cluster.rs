//! Where the members of one cluster meet.

use registry_core::{Dir, Error, Name, Result};

/// The environment when none is named.
pub const DEFAULT_ENVIRONMENT: &str = "production";
/// The directory of the stable slots, below that of the members. Members of the original do not count directories.
pub(super) const SLOTS: &str = "slots";

/// Where the members of one cluster meet: `/KEY[/PARTITION]/ENVIRONMENT`, as libcluster lays it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    dir: Dir,
}

impl Cluster {
    /// The cluster `key`, usually the name of the application. Without an environment it is [`DEFAULT_ENVIRONMENT`].
    ///
    /// # Errors
    /// `InvalidInput`, naming the word and the rule that it breaks. A partition and an environment are one segment each.
    pub fn new(key: &str, partition: Option<&str>, environment: Option<&str>) -> Result<Self> {
        let mut dir = Dir::new(&format!("/{}", key.strip_prefix('/').unwrap_or(key)))?;
        for (what, word) in
            [("partition", partition), ("environment", Some(environment.unwrap_or(DEFAULT_ENVIRONMENT)))]
        {
            let Some(word) = word else { continue };
            let name = Name::new(word).map_err(|error| Error::invalid_input(format!("the {what}: {error}")))?;
            if name.is_nested() {
                return Err(Error::invalid_input(format!("the {what} {word:?} must not hold `/`")));
            }
            dir = dir.join(word)?;
        }
        Ok(Self { dir })
    }

    /// The directory in which every member has its entry.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The directory in which every taken index has its entry, for [stable slots](super::Partition::claim).
    pub fn slots(&self) -> Result<Dir> {
        self.dir.join(SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_original() {
        let dir = |key, partition, environment| {
            Cluster::new(key, partition, environment).map(|cluster| cluster.dir().to_string())
        };
        assert_eq!(dir("app", None, None).unwrap(), "/app/production");
        assert_eq!(dir("app", Some("p1"), Some("dev")).unwrap(), "/app/p1/dev");
        assert_eq!(dir("/team/app", None, Some("dev")).unwrap(), "/team/app/dev");
        for (key, partition, environment) in [
            ("", None, None),
            ("//a", None, None),
            ("a", Some(""), None),
            ("a", Some("b/c"), None),
            ("a", None, Some("../b")),
        ] {
            assert!(dir(key, partition, environment).is_err(), "{key:?} {partition:?} {environment:?}");
        }
    }
}
