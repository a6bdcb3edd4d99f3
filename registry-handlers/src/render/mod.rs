//! From the model to the bytes of a file, in memory.

mod env;
mod haproxy;
mod hosts;
mod json;
mod lines;
mod nginx;
#[cfg(test)]
mod safety;
mod template;

use crate::error::{Error, Result};
use crate::model::{Member, Model};
use crate::spec::{FileKind, FileSpec, Shape};
use template::Template;
#[cfg(feature = "fuzzing")]
pub(crate) use template::rendered;

/// Makes the content of one file. Equal models make equal bytes.
pub(crate) enum Renderer {
    Json(Shape),
    Template(Box<Template>),
    Env,
    Lines,
    Hosts { block: String },
    Haproxy,
    Nginx,
}

/// The content, and who had to be left out of it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) bytes: Vec<u8>,
    pub(crate) skipped: Skipped,
}

/// Members that this kind of file cannot hold. One bad member does not keep the others from being served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) count: usize,
    /// Who and why, for the first of them.
    pub(crate) first: Option<String>,
}

impl Renderer {
    /// Checks that a file of this kind can be made, and reads the template.
    ///
    /// # Errors
    /// `Config`.
    pub(crate) fn new(spec: &FileSpec) -> Result<Self> {
        let only = |given: bool, key: &str, kind: &str| {
            if given { Err(Error::config(format!("`{key}` is only for files of kind `{kind}`"))) } else { Ok(()) }
        };
        only(spec.src.is_some() && spec.kind != FileKind::Template, "src", "template")?;
        only(spec.shape.is_some() && spec.kind != FileKind::Json, "shape", "json")?;
        only(spec.block.is_some() && spec.kind != FileKind::Hosts, "block", "hosts")?;
        Ok(match spec.kind {
            FileKind::Json => Self::Json(spec.shape.unwrap_or_default()),
            FileKind::Template => {
                let missing = || Error::config("a file of kind `template` needs `src`, the path of its template");
                Self::Template(Box::new(Template::load(spec.src.as_deref().ok_or_else(missing)?, spec)?))
            }
            FileKind::Env => Self::Env.named(&spec.watch, env::check)?,
            FileKind::Lines => Self::Lines,
            FileKind::Hosts => {
                let block = spec.block.clone().unwrap_or_else(|| hosts::DEFAULT_BLOCK.to_owned());
                hosts::check_block(&block)?;
                Self::Hosts { block }.named(&spec.watch, hosts::check)?
            }
            FileKind::Haproxy => Self::Haproxy.named(&spec.watch, haproxy::check)?,
            FileKind::Nginx => Self::Nginx.named(&spec.watch, nginx::check)?,
        })
    }

    /// The name of a cluster becomes part of the file, so it must be a word of the file's language.
    fn named(self, watch: &[String], check: impl Fn(&[String]) -> Result<()>) -> Result<Self> {
        check(watch).map(|()| self)
    }

    /// Whether the content is made from what is in the file already.
    pub(crate) fn edits(&self) -> bool {
        matches!(self, Self::Hosts { .. })
    }

    /// The content for these members. `existing` is what the file holds now, for a kind that edits.
    ///
    /// # Errors
    /// `Render`.
    pub(crate) fn render(&self, model: &Model, existing: &[u8]) -> Result<Rendered> {
        let mut skipped = Skipped::default();
        let bytes = match self {
            Self::Json(shape) => json::render(*shape, model),
            Self::Template(template) => template.render(model, &mut skipped)?,
            Self::Env => env::render(model, &mut skipped),
            Self::Lines => lines::render(model),
            Self::Hosts { block } => hosts::render(block, model, existing, &mut skipped)?,
            Self::Haproxy => haproxy::render(model, &mut skipped),
            Self::Nginx => nginx::render(model, &mut skipped),
        };
        Ok(Rendered { bytes, skipped })
    }
}

impl Skipped {
    fn add(&mut self, cluster: &str, member: &Member<'_>, why: &str) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(format!("{} of {cluster} {why}", member.name));
        }
    }
}

/// Refuses the name of a cluster that is no word of the file's language.
fn check_words(watch: &[String], language: &str, allowed: impl Fn(char) -> bool) -> Result<()> {
    let first = |name: &str| name.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
    match watch.iter().find(|name| !first(name) || !name.chars().all(&allowed)) {
        Some(name) => Err(Error::config(format!(
            "the cluster name {name:?} cannot stand in {language}; use letters, digits and -"
        ))),
        None => Ok(()),
    }
}
