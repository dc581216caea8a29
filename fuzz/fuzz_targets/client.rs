//! The fuzz target `client`; what it checks is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agentwire_fuzz::client::run(data));
