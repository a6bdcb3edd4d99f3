//! Passwords and tokens change, on the server first or in the file first.

use registry::{Error, ErrorKind, Scope};

use crate::client::{Backend, Client, add, at_last, dir, replace};
use crate::guarded::{Guarded, SECRETS};

pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
}

pub(crate) async fn secrets_are_rotated(backend: Backend) {
    let [first, second] = SECRETS;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, first).expect("written");
    let server = Guarded::start(backend).await;
    let mut client = Client::start(&server.url(&file)).await;

    // The server first: until the file follows we are refused, and told so.
    server.change(first, second).await;
    let refused = client.cannot_renew(is_refusal).await.to_string();
    assert!(SECRETS.iter().all(|secret| !refused.contains(secret)), "{refused}");
    // Half-written, it is named.
    std::fs::write(&file, "").expect("written");
    let name = file.to_str().expect("a name");
    client.cannot_renew(|error| is_refusal(error) && error.to_string().contains(name)).await;
    replace(&file, second);
    client.stands().await;
    add(&*server.witness(), "one").await;
    client.sees("one").await;

    // The file first, a moment too early.
    replace(&file, first);
    server.change(second, first).await;
    client.stands().await;
    let scope = Scope::from(dir());
    let listed = at_last(async || client.registry.list(&scope).await).await;
    assert_eq!(listed.entries.len(), 2);
    add(&*server.witness(), "two").await;
    client.sees("two").await;
}
