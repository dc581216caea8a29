//! The fuzz target `bridge_frames`; what it checks is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agentwire_fuzz::bridge_frames::run(data));
