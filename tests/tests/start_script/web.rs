//! A container with a web server, as the start scripts expect it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use cluster_control_tests::{Context, Launch, Original, SOON, block_on, eventually, program};
use rustix::process::{Pid, Signal, kill_process};
use test_servers::{free_port, http};

use crate::ARTICLE;

/// The web server of one test, and what the script needs around it.
pub(crate) struct Web<'a> {
    context: &'a Context,
    port: u16,
    /// The container's key in the registry.
    pub(crate) key: String,
}

impl<'a> Web<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        let port = free_port();
        for (name, text) in [
            ("bin/apache", include_str!("apache2")),
            ("bin/apache2", include_str!("apache2")),
            ("bin/apachectl", include_str!("apachectl")),
        ] {
            let path = context.write(name, text);
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("the mode of one's own file");
        }
        fs::create_dir(context.path("html")).expect("a directory");
        let name = format!("127.0.0.1:{port}");
        // The original put its key into a URL as it stood, so its users wrote it as it stands in one.
        let key = context.at(&format!("webserver/{}", name.replace(':', "%3A")));
        let original = Original::new(context.original_server(), key)
            .times(6, 2)
            .cluster("dbserver", &context.at("dbserver"), "html/dbservers.json")
            .cluster("redis", &context.at("redis"), "html/redis.json")
            .cluster("mysql", &context.at("mysql"), "html/mysql.json");
        context.write("cluster-control.conf", original.json());
        Self { context, port, key: context.at(&format!("webserver/{name}")) }
    }

    /// The article's start script; `options` are those that its variable gives to every command.
    pub(crate) fn article(&self, options: &str) -> Launch {
        self.script(ARTICLE).env("CLUSTERCONTROL", format!("{}{options}", program().display()))
    }

    pub(crate) fn script(&self, text: &str) -> Launch {
        let path = std::env::var("PATH").unwrap_or_default();
        self.context
            .script(text)
            .env("PATH", format!("{}:{path}", self.context.path("bin").display()))
            .env("LISTEN", format!("127.0.0.1:{}", self.port))
            .env("PUBLIC_HOST_SLASH_PORT", format!("127.0.0.1/{}", self.port))
    }

    /// What the server gives to its clients; `None` when it does not answer.
    pub(crate) fn served(&self, file: &str) -> Option<String> {
        let answer = block_on(http::request(Duration::from_secs(5), self.port, "GET", &format!("/{file}"), ""));
        answer.ok().filter(|(status, _)| *status == 200).map(|(_, body)| body)
    }

    pub(crate) fn eventually_serves(&self, file: &str, names: &[&str]) {
        let expected = serde_json::json!(names).to_string();
        eventually(SOON, &format!("{file} is {expected}"), || self.served(file).as_ref() == Some(&expected));
    }

    pub(crate) fn is_up(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.context.witness.get(&self.key).is_some()
    }

    /// How often `apachectl` was asked for this.
    pub(crate) fn asked(&self, what: &str) -> usize {
        let log = self.context.read("apachectl.log").unwrap_or_default();
        log.lines().filter(|line| *line == what).count()
    }

    /// Kills the server.
    pub(crate) fn crash(&self) {
        let id = self.context.read("apache.pid").expect("the server has written it");
        let pid = id.trim().parse().ok().and_then(Pid::from_raw).expect("an id");
        kill_process(pid, Signal::KILL).expect("a process of this test");
    }
}
