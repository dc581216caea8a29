//! The fuzz target `decode`; what it checks is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agentwire_fuzz::decode::run(data));
