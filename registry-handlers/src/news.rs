//! What a notification tells.

use std::collections::BTreeMap;
use std::path::PathBuf;

use registry_core::Index;
use serde::Serialize;

use crate::members::Members;
use crate::membership::Clusters;
use crate::model::Model;

/// The members that a file was made of.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) model: Model,
    pub(crate) indices: BTreeMap<String, Index>,
}

impl News {
    pub(crate) fn new(clusters: &Clusters) -> Self {
        let indices = clusters.iter().map(|(name, known)| (name.to_string(), known.index)).collect();
        Self { model: Model::new(clusters), indices }
    }
}

/// All that one notification tells: several files may have changed.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Message {
    /// Grows when what is in here changes its meaning.
    schema: u32,
    /// The paths of the files that have changed.
    files: Vec<String>,
    #[serde(flatten)]
    model: Model,
    #[serde(skip)]
    pub(crate) paths: Vec<PathBuf>,
    #[serde(skip)]
    pub(crate) indices: BTreeMap<String, Index>,
}

impl Message {
    /// Of two files that saw one cluster at different points, the later point counts.
    pub(crate) fn new<'a>(news: impl IntoIterator<Item = (&'a PathBuf, &'a News)>) -> Self {
        let mut message = Self { schema: 1, ..Self::default() };
        for (path, news) in news {
            message.files.push(path.to_string_lossy().into_owned());
            message.paths.push(path.clone());
            for (cluster, members) in &news.model.clusters {
                let index = news.indices.get(cluster).copied().unwrap_or_default();
                let newer = message.indices.get(cluster).is_none_or(|known| known.position() <= index.position());
                if newer {
                    message.indices.insert(cluster.clone(), index);
                    message.model.clusters.insert(cluster.clone(), members.clone());
                }
            }
        }
        message
    }

    /// How many members there are in all.
    pub(crate) fn count(&self) -> usize {
        self.model.clusters.values().map(Members::len).sum()
    }

    /// As it is sent.
    pub(crate) fn json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Membership;
    use registry_core::{Bytes, Name};

    fn news(cluster: &str, name: &str, position: u64) -> News {
        let known = Membership {
            members: [(Name::new(name).unwrap(), Bytes::new())].into_iter().collect(),
            index: Index::new(1, position),
            ..Membership::default()
        };
        News::new(&[(std::sync::Arc::from(cluster), known)].into())
    }

    #[test]
    fn several_files_are_one_message() {
        let (a, b) = (PathBuf::from("/a"), PathBuf::from("/b"));
        let (new, old, web) = (news("db", "x:1", 7), news("db", "old", 6), news("web", "w", 3));
        let message = Message::new([(&a, &new), (&b, &old), (&b, &web)]);
        assert_eq!(message.count(), 2);
        assert_eq!(
            String::from_utf8(message.json().unwrap()).unwrap(),
            r#"{"schema":1,"files":["/a","/b","/b"],"clusters":{"db":[{"name":"x:1","value":"","host":"x","port":1}],"web":[{"name":"w","value":""}]}}"#
        );
    }
}
