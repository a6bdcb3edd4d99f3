//! What must hold for every input from outside: each target is a function that takes any bytes, and panics when a promise is
//! broken. `cargo test -p fuzz` plays the corpus and mutations of it; `make fuzz TARGET=… TIME=60` searches, guided by what
//! each input reaches.

mod addresses;
mod members;
mod mutation;
mod store;
mod words;

use std::path::Path;

/// A target: its name, which is that of its folder in `corpus`, and what must hold.
pub type Target = (&'static str, fn(&[u8]));

/// Everything that reads what comes from outside.
pub const TARGETS: &[Target] = &[
    ("address", addresses::address),
    ("consul_pairs", registry_consul::fuzzing::pairs),
    ("consul_refusal", registry_consul::fuzzing::refusal),
    ("consul_services", registry_consul::fuzzing::services),
    ("consul_url", addresses::consul),
    ("certificates", registry_credentials::fuzzing::pem),
    ("couchbase", registry_recipes::fuzzing::couchbase),
    ("duration", words::duration),
    ("env", members::env),
    ("environment", addresses::environment),
    ("etcd_v2_event", registry_etcd_v2::fuzzing::event),
    ("etcd_v2_headers", registry_etcd_v2::fuzzing::headers),
    ("etcd_v2_list", registry_etcd_v2::fuzzing::list),
    ("etcd_v2_refusal", registry_etcd_v2::fuzzing::refusal),
    ("etcd_v3_key", registry_etcd_v3::fuzzing::key),
    ("etcd_v3_refusal", registry_etcd_v3::fuzzing::refusal),
    ("etcd_v3_words", words::etcd_v3),
    ("foreign", members::foreign),
    ("hosts", registry_handlers::fuzzing::hosts),
    ("index", words::index),
    ("indices", registry_recipes::fuzzing::indices),
    ("instance", members::instance),
    ("lease", words::lease),
    ("name", words::name),
    ("outputs", registry_handlers::fuzzing::outputs),
    ("pending", registry_handlers::fuzzing::pending),
    ("processes", processes::fuzzing::stat),
    ("record", members::record),
    ("specification", words::specification),
    ("sqlite_file", store::file),
    ("sqlite_rows", store::rows),
    ("sqlite_url", addresses::sqlite),
    ("template", registry_handlers::fuzzing::template),
    ("workers", registry_recipes::fuzzing::workers),
];

/// Plays a folder of inputs, and `mutations` of them that come from a seed.
///
/// # Panics
/// When a promise is broken, after the input and the seed were printed; and when there is no corpus.
pub fn replay(corpus: &Path, check: impl Fn(&[u8]), mutations: u32) {
    let shown = corpus.display();
    let files = std::fs::read_dir(corpus).unwrap_or_else(|error| panic!("{shown}: {error}"));
    let mut paths: Vec<_> = files.map(|file| file.expect("a file of the corpus").path()).collect();
    paths.sort();
    let read = |path| std::fs::read(path).expect("a file of the corpus can be read");
    let inputs: Vec<Vec<u8>> = paths.iter().map(read).collect();
    assert!(!inputs.is_empty(), "{shown} is empty");
    let played = |input: &[u8], what: &dyn std::fmt::Display| {
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(input)));
        assert!(held.is_ok(), "{what} breaks a promise: {}", input.escape_ascii());
    };
    for (path, input) in paths.iter().zip(&inputs) {
        played(input, &path.display());
    }
    let seed = std::env::var("SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    let mut rng = fastrand::Rng::with_seed(seed);
    for number in 0..mutations {
        let input = mutation::mutated(&inputs, &mut rng);
        played(&input, &format_args!("{shown}: mutation {number} of SEED={seed}"));
    }
}
