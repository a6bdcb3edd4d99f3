//! An administrator takes a permission away, and gives it back.

use crate::client::{Backend, Client, add};
use crate::guarded::{Guarded, SECRETS};
use crate::passwords::is_refusal;

/// Both the registration and the subscription say so, keep what they have, go on trying, and heal.
pub(crate) async fn a_permission_that_was_lost_comes_back(backend: Backend) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, SECRETS[0]).expect("written");
    let mut server = Guarded::start(backend).await;
    let mut client = Client::start(&server.url(&file)).await;

    server.revoke().await;
    client.cannot_renew(is_refusal).await;
    server.restart().await;
    client.trouble(is_refusal).await;
    // Not once only: it goes on trying.
    client.trouble(is_refusal).await;
    client.cannot_renew(is_refusal).await;

    server.grant().await;
    client.stands().await;
    add(&*server.witness(), "afterwards").await;
    client.sees("afterwards").await;
}
