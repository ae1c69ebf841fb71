#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pushkeeper::fuzzing::foreign_store(data));
