//! What must hold for every output, whatever the members are, for the fuzz targets. No part of what this crate promises.

use registry_core::{Bytes, Name};

use crate::members::Members;
use crate::model::Model;
use crate::render::Renderer;
use crate::spec::Shape;

/// Members from bytes: lines of a name, a space, and a value in which `\x1f` stands for a line feed.
fn model(data: &[u8]) -> Model {
    let mut members = std::collections::BTreeMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let name = parts.next().and_then(|name| std::str::from_utf8(name).ok()).and_then(|name| Name::new(name).ok());
        let Some(name) = name.filter(|name| !name.is_nested()) else { continue };
        let value = parts.next().unwrap_or_default().iter().map(|byte| if *byte == 0x1f { b'\n' } else { *byte });
        members.insert(name, value.collect::<Bytes>());
    }
    Model { clusters: [("db".to_owned(), members.into_iter().collect())].into() }
}

fn rendered_text(renderer: &Renderer, model: &Model, existing: &str) -> String {
    let once = renderer.render(model, existing.as_bytes()).expect("these kinds can always be rendered");
    assert_eq!(once, renderer.render(model, existing.as_bytes()).expect("once more"), "equal models, other bytes");
    String::from_utf8(once.bytes).expect("text")
}

/// A word that means nothing else in the languages below.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.-[]".contains(&byte))
}

/// Every kind of file keeps its syntax.
///
/// # Panics
/// When one does not.
pub fn outputs(data: &[u8]) {
    let model = model(data);
    let members = &model.clusters["db"];
    for shape in [Shape::Names, Shape::Full, Shape::HostPort, Shape::Map] {
        let json = rendered_text(&Renderer::Json(shape), &model, "");
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let count = read.as_array().map(Vec::len).or(read.as_object().map(serde_json::Map::len));
        assert!(count == Some(members.len()) || shape == Shape::HostPort, "{json}");
    }
    let lines = rendered_text(&Renderer::Lines, &model, "");
    assert!(lines.lines().eq(members.names().map(Name::as_str)), "{lines}");
    let env = rendered_text(&Renderer::Env, &model, "");
    assert_eq!(env.lines().count(), 3, "{env}");
    for line in env.lines() {
        let value = line.split_once("=\"").and_then(|(_, value)| value.strip_suffix('"')).expect("a quoted value");
        assert!(!value.contains(['"', '$', '`', '\\']) && !value.contains(char::is_control), "{line}");
    }
    let nginx = rendered_text(&Renderer::Nginx, &model, "");
    let inner = nginx.strip_prefix("upstream db {\n").and_then(|rest| rest.strip_suffix("}\n")).expect("one block");
    for line in inner.lines() {
        let words = line.strip_prefix("    server ").and_then(|rest| rest.strip_suffix(';')).expect("a server");
        assert!(words.split(' ').all(is_plain), "{line}");
    }
    let haproxy = rendered_text(&Renderer::Haproxy, &model, "");
    for line in haproxy.strip_prefix("backend db\n").expect("a backend").lines() {
        let mut words = line.strip_prefix("    server ").expect("a server").split(' ');
        assert!(words.by_ref().take(2).all(is_plain), "{line}");
        assert!(words.all(|word| ["check", "init-addr", "last,libc,none"].contains(&word)), "{line}");
    }
    let renderer = Renderer::Hosts { block: "cc".into() };
    let hosts = rendered_text(&renderer, &model, "127.0.0.1 localhost\n");
    let inner =
        hosts.strip_prefix("127.0.0.1 localhost\n# BEGIN cc\n").and_then(|rest| rest.strip_suffix("# END cc\n"));
    for line in inner.expect("one block, and the rest untouched").lines() {
        let (ip, names) = line.split_once('\t').expect("an address and names");
        assert!(ip.parse::<std::net::IpAddr>().is_ok() && names.split(' ').all(is_plain), "{line}");
    }
    assert_eq!(rendered_text(&renderer, &model, &hosts), hosts, "writing the same once more changes the file");
}

/// A template, before the first `\x1e`, and the members.
///
/// # Panics
/// When a member breaks out of its place.
pub fn template(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0x1e);
    let (source, members) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Ok(source) = std::str::from_utf8(source) {
        crate::render::rendered(source, &model(members));
    }
}

/// What a crash has left in the directory of what is still to be told.
///
/// # Panics
/// When somebody is never told.
pub fn pending(data: &[u8]) {
    crate::pending::fuzzed_file(data);
}

/// A file that was there before: what is outside of the block stays as it is.
///
/// # Panics
/// When it does not.
pub fn hosts(data: &[u8]) {
    let at = data.len() / 2;
    let (model, renderer) = (model(&data[..at]), Renderer::Hosts { block: "cc".into() });
    let Ok(first) = renderer.render(&model, &data[at..]) else { return };
    let again = renderer.render(&model, &first.bytes).expect("its own work can be edited");
    assert_eq!(again.bytes, first.bytes, "writing the same once more changes the file");
    let none = Model { clusters: [("db".to_owned(), Members::default())].into() };
    let outside = |bytes: &[u8]| renderer.render(&none, bytes).expect("its own work can be edited").bytes;
    assert_eq!(outside(&first.bytes), outside(&data[at..]), "what is outside of the block has changed");
}
