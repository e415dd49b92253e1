//! libFuzzer's bytes as a stream of RESP.
#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::feed("resp", data);
});
