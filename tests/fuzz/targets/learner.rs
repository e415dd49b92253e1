//! libFuzzer's bytes as what a role hears: the learner.
#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::feed("learner", data);
});
