//! The names of spans, events and their fields: others search for them.

#[path = "../examples/own_backend/memory.rs"]
mod memory;

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use memory::Memory;
use registry::layer::Instrumented;
use registry::{Dir, Registry};
use registry_core::conformance::Gate;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down whatever is recorded.
#[derive(Clone, Default)]
struct Written {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a string");
    }
}

impl Written {
    fn write(&self, what: &str, visit: impl FnOnce(&mut Line)) {
        let mut line = Line(what.to_owned());
        visit(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }
}

impl Subscriber for Written {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("registry::")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let metadata = span.metadata();
        self.write(&format!("{} span {}", metadata.level(), metadata.name()), |line| span.record(line));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        self.write("recorded", |line| values.record(line));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.write(&format!("{} event", event.metadata().level()), |line| event.record(line));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn calls_are_spans_with_stable_names() {
    let written = Written::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(written.clone(), || {
        runtime.block_on(async {
            let gate = Gate::new(Arc::new(Memory::new()));
            let registry = Instrumented::new(gate.clone());
            let web = Dir::new("/clusters/web").unwrap();
            registry.remove(&web.key("a").unwrap()).await.unwrap();
            gate.close();
            registry.list(&web.into()).await.unwrap_err();
        });
    });
    assert_eq!(
        *written.lines.lock().unwrap(),
        [
            r#"DEBUG span registry backend="memory" operation="remove" path="/clusters/web/a""#,
            r#"DEBUG span registry backend="memory" operation="list" path="/clusters/web""#,
            "recorded error=Unavailable",
            "DEBUG event message=a call of the registry failed error=cut off by the trial",
        ]
    );
}
