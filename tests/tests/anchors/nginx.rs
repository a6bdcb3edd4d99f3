//! nginx, which tells nobody but its log that it keeps its old configuration.

use std::process::Command;
use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal, eventually, never, program};
use test_servers::free_port;

use crate::setting::{configure, own, watch};

pub(crate) fn is_there() -> Result<(), String> {
    let version = Command::new("nginx").arg("-v").output();
    version.map(drop).map_err(|error| format!("nginx cannot be started: {error} (`make setup` installs it)"))
}

const MAIN: &str = "worker_processes 1;
daemon off;
user root;
pid DIR/nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path DIR/temp;
    proxy_temp_path DIR/temp;
    fastcgi_temp_path DIR/temp;
    uwsgi_temp_path DIR/temp;
    scgi_temp_path DIR/temp;
    include DIR/members.conf;
    include DIR/extra.conf;
}
";
const TEMPLATE: &str = "server {
    listen 127.0.0.1:PORT;
    location = /{% for m in members %}{{ m.host }}.{% endfor %} { return 204; }
}
";
/// Asks for what the file says, and so is answered only by a server that has read it.
const VERIFY: &str = r"PROGRAM check http://127.0.0.1:PORT$(sed -n 's/.*location = \([^ ]*\) .*/\1/p' members.conf)";
const NOT_APPLIED: &str = "written and notified, but not applied: `verify` says: sh";
const APPLIED: &str = "notified, and applied";

pub(crate) fn refuses_a_reload(context: &Context) {
    let (dir, port) = (context.dir().display().to_string(), free_port().to_string());
    let conf = context.write("nginx.conf", MAIN.replace("DIR", &dir)).display().to_string();
    context.write("extra.conf", "");
    context.write("members.conf.j2", TEMPLATE.replace("PORT", &port));
    let verify = VERIFY.replace("PORT", &port).replace("PROGRAM", &program().display().to_string());
    let notify = format!(
        "[[notify]]\nname = \"reload\"\nkind = \"signal\"\nsignal = \"HUP\"\nverify_within = \"2s\"\n\
         verify = [\"sh\", \"-c\", '''{verify}''']\nretry = {{ base = \"500ms\", max = \"1s\" }}\n"
    );
    let file = "[[file]]\nkind = \"template\"\nsrc = \"members.conf.j2\"\nwatch = [\"db\"]\ndest = \"members.conf\"\n\
                on_empty = \"render\"\nnotify = [\"reload\"]\n";
    let ready = format!("[ready]\ntcp = \"127.0.0.1:{port}\"\n");
    configure(context, &[own(context), ready, watch(context, "db"), notify, file.into()]);
    let mut run = context.program(["run", "--", "nginx", "-e", "stderr", "-c", &conf]).start();
    eventually(SOON, "nginx is ready", || context.witness.get(&context.key()).is_some());
    let serves = |path: &str| {
        let url = format!("http://127.0.0.1:{port}/{path}");
        context.program(["check", &url]).finish(SOON).code == 0
    };

    context.witness.put(&context.at("db/10.0.0.1:80"), "0");
    eventually(SOON, "a good change is applied", || run.stderr().contains(APPLIED));
    eventually(SOON, "it is served", || serves("10.0.0.1."));

    context.write("extra.conf", "this_is_no_directive;\n");
    context.witness.put(&context.at("db/10.0.0.2:80"), "0");
    eventually(SOON, "it is said that it is not applied", || run.stderr().contains(NOT_APPLIED));
    assert!(context.read("members.conf").is_some_and(|text| text.contains("10.0.0.2")));
    assert!(serves("10.0.0.1.") && !serves("10.0.0.1.10.0.0.2."), "nginx does not keep what it had");
    assert_eq!(run.stderr().matches(APPLIED).count(), 1);

    // Nothing of ours changes: only nginx is told again.
    context.write("extra.conf", "");
    eventually(SOON, "it is applied at last", || run.stderr().matches(APPLIED).count() == 2);
    // An old worker may still take a connection.
    eventually(SOON, "it is served", || serves("10.0.0.1.10.0.0.2."));
    let reloads = || run.stderr().matches("reconfiguring").count();
    let before = reloads();
    never(Duration::from_secs(3), "it is told again", || reloads() > before);
    run.signal(Signal::TERM);
    run.wait(SOON);
}
