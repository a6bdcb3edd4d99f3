//! Who we are: a header of each request.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use registry_address::{Address, Secret};
use registry_core::{Error, Result};
use registry_credentials::{Rotated, password};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// The header that says who we are, read again when it comes from a file that has changed.
#[derive(Debug)]
pub struct Identity {
    name: HeaderName,
    value: Rotated<HeaderValue>,
}

impl Identity {
    /// Basic authentication with the user and the password of an address; `None`: it has no user.
    ///
    /// # Errors
    /// `Config`, naming what cannot be used.
    pub fn basic(address: &Address) -> Result<Option<Self>> {
        let (Some(user), Some(password)) = (address.user.clone(), password(address)?) else { return Ok(None) };
        if user.contains(':') {
            return Err(Error::config("`user` holds a `:`, which basic authentication does not allow"));
        }
        let value = password.map(move |password| {
            let both = STANDARD.encode(format!("{user}:{}", password.reveal()));
            sensitive(&format!("Basic {both}"), "password")
        })?;
        Ok(Some(Self { name: AUTHORIZATION, value }))
    }

    /// A token in a header of this name.
    ///
    /// # Errors
    /// `Config`: it holds what no header may.
    pub fn token(header: &'static str, token: Secret) -> Result<Self> {
        let value = Rotated::new([], move || sensitive(token.reveal(), "token"))?;
        Ok(Self { name: HeaderName::from_static(header), value })
    }

    /// A token from a file, in a header of this name.
    ///
    /// # Errors
    /// `Config`, naming the file.
    pub fn token_file(header: &'static str, file: PathBuf) -> Result<Self> {
        let value = Rotated::new([file.clone()], move || {
            let named = |error| Error::config(format!("the token file {}", file.display())).because(error);
            Secret::read("token", &file).and_then(|token| sensitive(token.reveal(), "token").map_err(named))
        })?;
        Ok(Self { name: HeaderName::from_static(header), value })
    }

    pub(crate) fn header(&self) -> (HeaderName, HeaderValue) {
        (self.name.clone(), HeaderValue::clone(&self.value.current()))
    }

    pub(crate) fn current(&self) -> Arc<HeaderValue> {
        self.value.current()
    }

    pub(crate) fn fault(&self) -> Option<Arc<str>> {
        self.value.fault()
    }

    /// After a refusal: reads the file again. True when we are somebody else than `before` now.
    pub(crate) fn has_changed_since(&self, before: &HeaderValue) -> bool {
        *self.value.read_again() != *before
    }
}

/// Marked so that nothing prints it.
fn sensitive(text: &str, what: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|_| Error::config(format!("the {what} holds characters that no {what} has")))?;
    header.set_sensitive(true);
    Ok(header)
}
