//! Whatever stands in the file: an error without the secrets in it, or a configuration.

use std::path::Path;

use super::{Configuration, interpolate, original, written};

const CANARY: &str = "c4nary5ecret";

fn read(text: &str) -> Result<Configuration, String> {
    let text = interpolate::interpolate(text)?;
    let is_json = text.trim_start().starts_with('{');
    let configuration = if is_json { original::read(&text) } else { written::read(&text) }?;
    configuration.check()?;
    Ok(configuration)
}

#[test]
fn no_file_breaks_the_program_or_shows_its_secrets() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/configuration");
    let check = |input: &[u8]| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        match read(text) {
            Ok(configuration) => {
                for file in &configuration.files {
                    let known = |name: &String| configuration.watches.iter().any(|watch| watch.name == *name);
                    assert!(file.watch.iter().all(known), "a file of a cluster that nobody watches");
                }
            }
            Err(error) => {
                assert!(!error.contains(CANARY), "{error}");
                assert!(!error.is_empty() && error.len() < 4000, "{error}");
            }
        }
    };
    let mutations = std::env::var("MUTATIONS").map_or(5000, |text| text.parse().expect("a number of mutations"));
    fuzz::replay(&corpus, check, mutations);
}
