//! A network namespace with a server in it, whose packets can be dropped without anybody else noticing.

use std::path::Path;
use std::process::Command;

use cluster_control_tests::{Launch, Process, SOON, Sandbox, eventually, program};
use test_servers::etcd_program;

use crate::setting::Api;

/// Where clients connect. The rules of the trials are about this port.
const PORT: u16 = 2379;
/// Where the witness connects.
const BESIDE: u16 = 2389;

/// Whether this machine lets us have a network of our own, and reset connections in it.
pub(crate) fn is_possible() -> Result<(), String> {
    let rule = "ip link set lo up && iptables -A INPUT -p tcp --dport 1 -j REJECT --reject-with tcp-reset";
    match Command::new("unshare").args(["--map-root-user", "--net", "sh", "-c", rule]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            Err(format!("no network namespace with iptables can be had here: {said}"))
        }
        Err(error) => Err(format!("there is no unshare: {error}")),
    }
}

/// It ends with this, and with it all that was started in it.
pub(crate) struct Namespace<'a> {
    sandbox: &'a Sandbox,
    holder: Process,
    api: Api,
    _server: Process,
}

impl<'a> Namespace<'a> {
    /// With an etcd in it.
    pub(crate) fn start(sandbox: &'a Sandbox, api: Api) -> Self {
        let mut holder = Command::new("unshare");
        holder.args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up && echo yes > ready; exec sleep 1000"]);
        let holder = sandbox.launch(holder).start();
        eventually(SOON, "the namespace is there", || sandbox.read("ready").is_some());
        let etcd = etcd_program(api.version()).unwrap_or_else(|error| panic!("{error}"));
        let data = sandbox.path("etcd");
        let mut command = enter(&holder, &etcd);
        command
            .arg(format!("--data-dir={}", data.display()))
            .args(["--enable-v2=true", "--listen-peer-urls=http://127.0.0.1:0"])
            .arg(format!("--listen-client-urls=http://127.0.0.1:{PORT},http://127.0.0.1:{BESIDE}"))
            // The etcdctl of v2 goes where the members say.
            .arg(format!("--advertise-client-urls=http://127.0.0.1:{BESIDE}"));
        let server = sandbox.launch(command).start();
        let namespace = Self { sandbox, holder, api, _server: server };
        eventually(SOON, "the server answers", || namespace.write("/ready"));
        namespace
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{PORT}", self.api.scheme())
    }

    /// The program inside.
    pub(crate) fn program(&self, arguments: &[&str]) -> Launch {
        let mut command = enter(&self.holder, program());
        command.args(arguments);
        self.sandbox.launch(command)
    }

    /// Changes what becomes of packets inside.
    pub(crate) fn iptables(&self, rule: &str) -> String {
        let output = enter(&self.holder, Path::new("iptables")).args(rule.split(' ')).output().expect("it starts");
        assert!(output.status.success(), "iptables {rule}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn put(&self, path: &str) {
        assert!(self.write(path), "{path} could not be written");
    }

    fn write(&self, path: &str) -> bool {
        let verb = if self.api == Api::V2 { "set" } else { "put" };
        self.tool(&[verb, path, "v"]).is_some()
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        let listed = match self.api {
            Api::V2 => self.tool(&["ls", "--recursive", "/"]),
            Api::V3 => self.tool(&["get", path]),
        };
        listed.expect("the witness reaches it").contains(path)
    }

    /// What etcdctl printed, by the port that no rule is about.
    fn tool(&self, arguments: &[&str]) -> Option<String> {
        let etcdctl = etcd_program(self.api.version()).expect("it was found before").with_file_name("etcdctl");
        let number = if self.api == Api::V2 { "2" } else { "3" };
        let mut command = enter(&self.holder, &etcdctl);
        command.args(arguments).env("ETCDCTL_API", number);
        command.env("ETCDCTL_ENDPOINTS", format!("http://127.0.0.1:{BESIDE}"));
        let output = command.output().expect("it starts");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn enter(holder: &Process, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &holder.id().to_string(), "--user", "--net", "--preserve-credentials", "--"]);
    command.arg(program);
    command
}
