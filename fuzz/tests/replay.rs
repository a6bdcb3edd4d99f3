//! The corpus of every target, and mutations of it: `MUTATIONS=100000` for more, `SEED=…` for the same once more.

use std::path::Path;

use fuzz::{TARGETS, replay};

/// They open files, or carry out templates: a twentieth of the mutations takes as long as all of another target.
const SLOW: [&str; 3] = ["sqlite_file", "sqlite_rows", "template"];

#[test]
fn every_input_keeps_the_promises() {
    let mutations = std::env::var("MUTATIONS").map_or(2000, |text| text.parse().expect("a number of mutations"));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, check) in TARGETS {
        let mutations = if SLOW.contains(name) { mutations / 20 } else { mutations };
        replay(&corpus.join(name), check, mutations);
    }
}

/// A folder that no target reads is a target that was forgotten.
#[test]
fn every_corpus_has_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for folder in std::fs::read_dir(corpus).expect("the corpus") {
        let name = folder.expect("a folder").file_name();
        // The program's own configuration is private to the program, and played by its own tests.
        let known = name == "configuration" || TARGETS.iter().any(|(target, _)| name == *target);
        assert!(known, "{} has no target", name.display());
    }
}
