//! The table of capabilities in the documentation is what the code says.
//!
//! `WRITE_TABLE=1 cargo test -p registry --all-features --test table` writes it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use registry::{Capabilities, Registry, WatchKind};

const BEGIN: &str = "<!-- capabilities: written by registry/tests/table.rs -->\n";
const END: &str = "<!-- end of capabilities -->\n";

/// A registry of this scheme. Nobody is asked: capabilities are known without.
fn open(scheme: &str, place: &Path) -> Arc<dyn Registry> {
    let url = match scheme {
        "env" => return Arc::new(registry::env::EnvRegistry::new([("CLUSTER_MEMBERS", "a")]).expect("a member")),
        "sqlite" => format!("sqlite://{}/registry.db", place.display()),
        server => format!("{server}://127.0.0.1:1"),
    };
    registry::connect(&url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn time(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 3600 && seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ if span.subsec_millis() > 0 => format!("{} ms", span.as_millis()),
        seconds => format!("{seconds} s"),
    }
}

fn row(able: &Capabilities) -> String {
    let yes = |it: bool| if it { "yes" } else { "no" };
    let lives = if able.register {
        let factor = if able.ttl_factor == 1 { String::new() } else { format!("× {} ", able.ttl_factor) };
        format!("{} to {}, {factor}+ {}", time(able.ttl_min), time(able.ttl_max), time(able.ttl_slack))
    } else {
        "–".to_owned()
    };
    let value = match able.value_max {
        _ if !able.register => "–".to_owned(),
        bytes if bytes % 1024 == 0 => format!("{} KiB", bytes / 1024),
        bytes => format!("{bytes} bytes"),
    };
    let watch = match able.watch {
        WatchKind::Events => "every change",
        WatchKind::States => "states",
        WatchKind::Static => "never changes",
        other => panic!("describe {other:?}"),
    };
    let (register, conditions) = (yes(able.register), yes(able.conditions));
    let nested = if able.register { yes(able.nested_names) } else { "–" };
    let (resume, reasons, idle) = (yes(able.resume), yes(able.removal_reasons), time(able.idle_limit));
    format!("{register} | {lives} | {value} | {nested} | {conditions} | {watch} | {resume} | {reasons} | {idle} |")
}

fn table() -> String {
    let place = tempfile::tempdir().expect("a directory");
    let mut table = String::from(
        "| URL | register | time to live | value | nested | conditions | watch | resumes | says why | silent at most |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let mut rows: Vec<(String, String)> = Vec::new();
    for scheme in registry::known_schemes() {
        let row = row(&open(scheme, place.path()).capabilities());
        match rows.last_mut() {
            // The same with TLS.
            Some((schemes, same))
                if *same == row && scheme.strip_suffix('s') == Some(&schemes[1..schemes.len() - 2]) =>
            {
                write!(schemes, ", `{scheme}:`").expect("a string");
            }
            _ => rows.push((format!("`{scheme}:`"), row)),
        }
    }
    for (schemes, row) in rows {
        writeln!(table, "| {schemes} | {row}").expect("a string");
    }
    table
}

#[test]
fn the_documented_capabilities_are_those_of_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/library.md");
    let text = std::fs::read_to_string(&file).expect("the documentation");
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the table");
    let (documented, after) = rest.split_once(END).expect("the end of the table");
    let table = table();
    if std::env::var_os("WRITE_TABLE").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{table}{END}{after}")).expect("written");
    } else {
        assert!(documented == table, "docs/library.md says something else; this is the table now:\n\n{table}");
    }
}
