//! One HTTP client's settings.

use std::error::Error as _;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use rustls::ClientConfig;

/// The settings of every HTTP client of this project.
pub fn builder(tls: ClientConfig) -> ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        // A redirect would carry a write, and a secret, to wherever the answer says.
        .redirect(Policy::none())
        // A proxy from the environment would cut long polls and see secrets.
        .no_proxy()
        .referer(false)
}

/// What a transport error says, with its causes and without the URL, which may hold a secret: "error sending request" alone
/// helps nobody.
pub fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
