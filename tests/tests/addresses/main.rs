//! The program on servers that are behind one name, as `/etc/hosts` has it in a mount namespace.

mod forward;

use std::net::TcpListener;
use std::process::{Command, ExitCode};

use cluster_control_tests::{Backend, Context, Launch, SOON, Suite, program};

use crate::forward::forward;

const NAME: &str = "many.cluster-control.test";

fn main() -> ExitCode {
    Suite::new()
        .on_where(own_hosts, &Backend::SERVERS, "a_name_with_a_hung_address_is_served_by_the_next", hung)
        .on_where(own_hosts, &Backend::SERVERS, "a_name_with_a_dead_address_is_served_by_the_next", dead)
        .run()
}

/// Whether this machine lets us have a file system of our own, and resolves names as its file says.
fn own_hosts() -> Result<(), String> {
    let script = "mount --bind /etc/hosts /etc/hosts && getent ahosts localhost";
    match Command::new("unshare").args(["--map-root-user", "--mount", "sh", "-c", script]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            Err(format!("no mount namespace can be had here: {said}"))
        }
        Err(error) => Err(format!("there is no unshare: {error}")),
    }
}

/// The program where the name has these addresses.
fn with_hosts(context: &Context, addresses: &[&str], arguments: &[&str]) -> Launch {
    let hosts: String = addresses.iter().flat_map(|address| [address, " ", NAME, "\n"]).collect();
    let hosts = context.write("hosts", hosts);
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
    command.arg(hosts).arg(program()).args(arguments);
    context.launch(command)
}

/// `getaddrinfo` sorts 127.0.0.1 before all others, so that this is where what does not serve has to be.
fn serves(context: &Context, first: Option<TcpListener>) {
    let path = context.at("db");
    context.witness.put(&format!("{path}/10.0.0.1:3306"), "x");
    let url = context.url();
    let (scheme, server) = url.split_once("://").expect("a URL");
    let port = match &first {
        Some(listener) => listener.local_addr().expect("an address").port(),
        None => test_servers::free_port(),
    };
    let _forwarder = forward(("127.0.0.2", port), server);
    let done = with_hosts(context, &["127.0.0.1", "127.0.0.2"], &["members", &path])
        .env("CLUSTER_CONTROL_REGISTRY", format!("{scheme}://{NAME}:{port}"))
        .env("RUST_LOG", "debug")
        .finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, "10.0.0.1:3306\n"), "{done:?}");
    if let Some(listener) = first {
        listener.set_nonblocking(true).expect("a mode");
        assert!(listener.accept().is_ok(), "the one that hangs was not asked first: {done:?}");
    }
}

fn hung(context: &Context) {
    serves(context, Some(TcpListener::bind("127.0.0.1:0").expect("a port")));
}

fn dead(context: &Context) {
    serves(context, None);
}
