//! Certificates change on both sides, in the worst order.

use std::fs;

use crate::client::{Backend, Client, add, replace};
use crate::secured::{Secured, authority};

/// Neither the registration nor the subscription is begun anew: nothing but the files changes.
pub(crate) async fn certificates_are_rotated(backend: Backend) {
    let mut server = Secured::start(backend).await;
    let mut client = Client::start(&server.url()).await;

    // A file that is half-written while the server restarts: what was read before serves the new connections.
    let ca = fs::read(server.copy("ca.pem")).expect("read");
    fs::write(server.copy("ca.pem"), &ca[..ca.len() / 2]).expect("written");
    server.restart_with(&[]).await;
    client.stands().await;
    add(&*server.witness(), "while-broken").await;
    client.sees("while-broken").await;
    fs::write(server.copy("ca.pem"), &ca).expect("written");

    // Another authority, which has signed all that the server has and trusts.
    let (_directory, next) = authority();
    let new = |name: &str| next.directory().join(name);
    let all = ["ca.pem", "server.pem", "server.key", "client.pem", "client.key"].map(|name| (name, new(name)));
    server.restart_with(&all).await;
    // Its name is the same, so that only the signature gives it away.
    let unknown = |text: &str| text.contains("invalid peer certificate: BadSignature");
    client.trouble(|error| error.is_transient() && unknown(&error.to_string())).await;

    // Now we trust the server, and it does not trust us.
    replace(&server.copy("ca.pem"), fs::read(new("ca.pem")).expect("read"));
    client.trouble(|error| error.is_transient() && !unknown(&error.to_string())).await;

    // Half a rotation: the certificate does not go with the key, and the complaint names both.
    replace(&server.copy("client.pem"), fs::read(new("client.pem")).expect("read"));
    client
        .trouble(|error| {
            let text = error.to_string();
            text.contains("client.pem") && text.contains("client.key") && text.contains("do not go together")
        })
        .await;
    replace(&server.copy("client.key"), fs::read(new("client.key")).expect("read"));

    client.stands().await;
    add(&*server.witness(), "afterwards").await;
    client.sees("afterwards").await;
}

/// The reason is named, what is known stays, and a renewed certificate is enough.
pub(crate) async fn an_expired_server_is_waited_for(backend: Backend) {
    a_wrong_certificate_is_waited_for(backend, "expired", "expired").await;
}

/// As after a server has moved, or was given the certificate of another one.
pub(crate) async fn a_server_without_the_name_is_waited_for(backend: Backend) {
    a_wrong_certificate_is_waited_for(backend, "misnamed", "not valid for name").await;
}

async fn a_wrong_certificate_is_waited_for(backend: Backend, wrong: &str, said: &str) {
    let mut server = Secured::start(backend).await;
    let mut client = Client::start(&server.url()).await;
    let (_directory, first) = server.keep();
    let from = |name: &str| first.join(name);
    let (certificate, key) = (from(&format!("{wrong}.pem")), from(&format!("{wrong}.key")));
    server.restart_with(&[("server.pem", certificate), ("server.key", key)]).await;
    client.trouble(|error| error.is_transient() && error.to_string().contains(said)).await;
    // It is still held: the time to live is long.
    client.cannot_renew(|error| error.is_transient() && error.to_string().contains(said)).await;
    server.restart_with(&[("server.pem", from("server.pem")), ("server.key", from("server.key"))]).await;
    client.stands().await;
    add(&*server.witness(), "afterwards").await;
    client.sees("afterwards").await;
}
