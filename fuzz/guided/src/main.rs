//! Searches for inputs that break a promise, guided by what each input reaches. `make fuzz` builds and runs it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = fuzz::TARGETS.iter().find(|(known, _)| *known == name);
    *target.unwrap_or_else(|| {
        let known: Vec<_> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("FUZZ_TARGET is one of {}", known.join(" "))
    })
});

fuzz_target!(|data: &[u8]| (TARGET.1)(data));
