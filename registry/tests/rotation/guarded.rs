//! A server that wants to know who asks, and its administrator.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use registry::Registry;
use test_servers::{Api, Consul, ConsulOptions, Etcd, Version, http};

use crate::client::Backend;

/// Passwords, and Consul's tokens. Nothing else is called so.
pub(crate) const SECRETS: [&str; 2] = ["ca9a4111-1111-2222-3333-444444444444", "ca9a4222-1111-2222-3333-444444444444"];
const ADMINISTRATOR: &str = "ad319000-2222-3333-4444-555555555555";
/// `root:root` as basic authentication has it.
const ROOT: &str = "Authorization: Basic cm9vdDpyb290\r\n";

/// A server on which `me`, or who has the token, may use `/clusters/` and nothing else.
pub(crate) enum Guarded {
    V2(Etcd),
    V3(Etcd),
    Consul(Consul),
}

impl Guarded {
    /// With the first secret.
    pub(crate) async fn start(backend: Backend) -> Self {
        let server = Self::prepare(backend, Version::V3_4).await;
        server.switch(true).await;
        server
    }

    /// With users that have their passwords, and without authentication. Consul can only have it from its start.
    pub(crate) async fn prepare(backend: Backend, version: Version) -> Self {
        let server = match backend {
            Backend::EtcdV2 => Self::V2(Etcd::start(version).await.expect("a server")),
            Backend::EtcdV3 => Self::V3(Etcd::start(version).await.expect("a server")),
            Backend::Consul => {
                let options = ConsulOptions::default().access_control(ADMINISTRATOR);
                Self::Consul(Consul::start(options).await.expect("a server"))
            }
        };
        let user = format!("me:{}", SECRETS[0]);
        match &server {
            Self::V2(etcd) => {
                let ctl = async |arguments: &[&str]| etcd.etcdctl(Api::V2, arguments).await.expect("etcdctl");
                ctl(&["user", "add", "root:root"]).await;
                ctl(&["user", "add", &user]).await;
                ctl(&["role", "add", "clusters"]).await;
                ctl(&["role", "grant", "clusters", "--path", "/clusters*", "--readwrite"]).await;
                ctl(&["user", "grant", "me", "--roles", "clusters"]).await;
            }
            Self::V3(etcd) => {
                let ctl = async |arguments: &[&str]| etcd.etcdctl(Api::V3, arguments).await.expect("etcdctl");
                ctl(&["user", "add", "root:root"]).await;
                ctl(&["user", "grant-role", "root", "root"]).await;
                ctl(&["user", "add", &user]).await;
                ctl(&["role", "add", "clusters"]).await;
                ctl(&["role", "grant-permission", "clusters", "--prefix=true", "readwrite", "/clusters/"]).await;
                ctl(&["user", "grant-role", "me", "clusters"]).await;
            }
            Self::Consul(consul) => {
                let rules =
                    r#"key_prefix \"clusters/\" { policy = \"write\" } session_prefix \"\" { policy = \"write\" }"#;
                let policy = format!(r#"{{"Name":"clusters","Rules":"{rules}"}}"#);
                asked(consul.ask("PUT", "/v1/acl/policy", &policy).await);
                server.admit(SECRETS[0]).await;
            }
        }
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        match self {
            Self::V2(etcd) | Self::V3(etcd) => etcd.endpoint(),
            Self::Consul(consul) => consul.endpoint(),
        }
    }

    /// For a client whose secret is in this file.
    pub(crate) fn url(&self, file: &Path) -> String {
        let (endpoint, file) = (self.endpoint(), file.display());
        match self {
            Self::V2(_) => format!("etcd-v2://{endpoint}?user=me&password_file={file}"),
            Self::V3(_) => format!("etcd://{endpoint}?user=me&password_file={file}"),
            Self::Consul(_) => format!("consul-kv://{endpoint}?token_file={file}"),
        }
    }

    /// A client that may do everything.
    pub(crate) fn witness(&self) -> Arc<dyn Registry> {
        let endpoint = self.endpoint();
        let url = match self {
            Self::V2(_) => format!("etcd-v2://root:root@{endpoint}"),
            Self::V3(_) => format!("etcd://root:root@{endpoint}"),
            Self::Consul(_) => {
                let config =
                    registry::consul::Config::from_uri(&registry::consul::KV, &format!("consul-kv://{endpoint}"));
                let config = config.expect("a URL").token(ADMINISTRATOR);
                return Arc::new(registry::consul::connect_kv(config).expect("a configuration"));
            }
        };
        registry::connect(&url).expect("a configuration")
    }

    /// From now on the other one of [`SECRETS`] is right, and the one before is wrong.
    pub(crate) async fn change(&self, before: &str, after: &str) {
        match self {
            Self::V2(etcd) => v2_user(etcd, &format!(r#"{{"user":"me","password":"{after}"}}"#)).await,
            Self::V3(etcd) => {
                v3(etcd, "/v3/auth/user/changepw", &format!(r#"{{"name":"me","password":"{after}"}}"#)).await;
            }
            Self::Consul(_) => {
                self.admit(after).await;
                self.dismiss(before).await;
            }
        }
    }

    /// Switches authentication on or off.
    pub(crate) async fn switch(&self, on: bool) {
        match self {
            Self::V2(etcd) if on => {
                v2(etcd, "PUT", "/v2/auth/enable", "").await;
                let nothing = r#"{"role":"guest","revoke":{"kv":{"read":["/*"],"write":["/*"]}}}"#;
                // What a guest has lost stays lost.
                let headers = format!("{ROOT}Content-Type: application/json\r\n");
                let path = "/v2/auth/roles/guest";
                http::request_with(SOON, etcd.port(), "PUT", path, &headers, nothing).await.expect("an answer");
            }
            Self::V2(etcd) => v2(etcd, "DELETE", "/v2/auth/enable", "").await,
            Self::V3(etcd) if on => v3(etcd, "/v3/auth/enable", "{}").await,
            Self::V3(etcd) => v3(etcd, "/v3/auth/disable", "{}").await,
            Self::Consul(_) => {}
        }
    }

    /// Deletes the role, and with it what it permits.
    pub(crate) async fn delete_role(&self) {
        match self {
            Self::V2(etcd) => v2(etcd, "DELETE", "/v2/auth/roles/clusters", "").await,
            Self::V3(etcd) => v3(etcd, "/v3/auth/role/delete", r#"{"role":"clusters"}"#).await,
            Self::Consul(_) => self.dismiss(SECRETS[0]).await,
        }
    }

    /// Makes it again.
    pub(crate) async fn make_role(&self) {
        match self {
            Self::V2(etcd) => {
                let role = r#"{"role":"clusters","permissions":{"kv":{"read":["/clusters*"],"write":["/clusters*"]}}}"#;
                v2(etcd, "PUT", "/v2/auth/roles/clusters", role).await;
            }
            Self::V3(etcd) => {
                v3(etcd, "/v3/auth/role/add", r#"{"name":"clusters"}"#).await;
                // From `/clusters/` to `/clusters0`.
                let permission = r#"{"permType":"READWRITE","key":"L2NsdXN0ZXJzLw==","range_end":"L2NsdXN0ZXJzMA=="}"#;
                let role = format!(r#"{{"name":"clusters","perm":{permission}}}"#);
                v3(etcd, "/v3/auth/role/grant", &role).await;
                self.grant().await;
            }
            Self::Consul(_) => self.admit(SECRETS[0]).await,
        }
    }

    pub(crate) async fn delete_user(&self) {
        match self {
            Self::V2(etcd) => v2(etcd, "DELETE", "/v2/auth/users/me", "").await,
            Self::V3(etcd) => v3(etcd, "/v3/auth/user/delete", r#"{"name":"me"}"#).await,
            Self::Consul(_) => self.dismiss(SECRETS[0]).await,
        }
    }

    /// Makes the user again, with the first secret.
    pub(crate) async fn make_user(&self) {
        let secret = SECRETS[0];
        match self {
            Self::V2(etcd) => {
                let user = format!(r#"{{"user":"me","password":"{secret}","roles":["clusters"]}}"#);
                v2(etcd, "PUT", "/v2/auth/users/me", &user).await;
            }
            Self::V3(etcd) => {
                v3(etcd, "/v3/auth/user/add", &format!(r#"{{"name":"me","password":"{secret}"}}"#)).await;
                self.grant().await;
            }
            Self::Consul(_) => self.admit(secret).await,
        }
    }

    /// Takes every permission away: the role, or the token itself.
    pub(crate) async fn revoke(&self) {
        match self {
            Self::V2(etcd) => v2_user(etcd, r#"{"user":"me","revoke":["clusters"]}"#).await,
            Self::V3(etcd) => v3(etcd, "/v3/auth/user/revoke", r#"{"name":"me","role":"clusters"}"#).await,
            Self::Consul(_) => self.dismiss(SECRETS[0]).await,
        }
    }

    /// Gives them back.
    pub(crate) async fn grant(&self) {
        match self {
            Self::V2(etcd) => v2_user(etcd, r#"{"user":"me","grant":["clusters"]}"#).await,
            Self::V3(etcd) => v3(etcd, "/v3/auth/user/grant", r#"{"user":"me","role":"clusters"}"#).await,
            Self::Consul(_) => self.admit(SECRETS[0]).await,
        }
    }

    /// Ends every connection. etcd v3 goes on telling a watch whose user has lost the permission.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        match self {
            Self::V2(etcd) | Self::V3(etcd) => etcd.start_again().await,
            Self::Consul(consul) => consul.start_again().await,
        }
        .expect("started again");
    }

    pub(crate) async fn stop(&mut self) {
        match self {
            Self::V2(etcd) | Self::V3(etcd) => etcd.stop().await,
            Self::Consul(consul) => consul.stop().await,
        }
        .expect("stopped");
    }

    async fn admit(&self, token: &str) {
        let Self::Consul(consul) = self else { return };
        let accessor = accessor(token);
        let body = format!(r#"{{"SecretID":"{token}","AccessorID":"{accessor}","Policies":[{{"Name":"clusters"}}]}}"#);
        asked(consul.ask("PUT", "/v1/acl/token", &body).await);
    }

    async fn dismiss(&self, token: &str) {
        let Self::Consul(consul) = self else { return };
        asked(consul.ask("DELETE", &format!("/v1/acl/token/{}", accessor(token)), "").await);
    }
}

/// The public name of a token.
fn accessor(token: &str) -> String {
    token.replacen("ca9a4", "acce5", 1)
}

async fn v2_user(etcd: &Etcd, body: &str) {
    v2(etcd, "PUT", "/v2/auth/users/me", body).await;
}

async fn v2(etcd: &Etcd, method: &str, path: &str, body: &str) {
    let headers = format!("{ROOT}Content-Type: application/json\r\n");
    asked(http::request_with(SOON, etcd.port(), method, path, &headers, body).await);
}

/// Through etcd's gateway, as `root` where there is authentication.
async fn v3(etcd: &Etcd, path: &str, body: &str) {
    let post = async |path: &str, headers: &str, body: &str| {
        asked(http::request_with(SOON, etcd.port(), "POST", path, headers, body).await)
    };
    let (path_of_root, root) = ("/v3/auth/authenticate", r#"{"name":"root","password":"root"}"#);
    let (_, who) = http::request_with(SOON, etcd.port(), "POST", path_of_root, "", root).await.expect("an answer");
    let token = who.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
    assert!(token.is_some() || who.contains("not enabled"), "{who}");
    let headers = token.map(|token| format!("Authorization: {token}\r\n")).unwrap_or_default();
    post(path, &headers, body).await;
}

const SOON: Duration = Duration::from_secs(30);

fn asked(answer: test_servers::Result<(u16, String)>) -> String {
    let (status, body) = answer.expect("an answer");
    assert!(status < 300, "{status} {body}");
    body
}
