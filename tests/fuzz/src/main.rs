//! libFuzzer over one target, which `HAITHE_FUZZ_TARGET` names. Its own arguments and options follow.

#![no_main]

use haithe_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(init: {
    let name = std::env::var("HAITHE_FUZZ_TARGET").unwrap_or_default();
    let known = target(&name).unwrap_or_else(|| panic!("HAITHE_FUZZ_TARGET names no target: {name:?}"));
    CHOSEN.get_or_init(|| known);
}, |data: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.run)(data);
    }
});
