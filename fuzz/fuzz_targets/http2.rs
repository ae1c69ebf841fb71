#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pushkeeper::fuzzing::http2(data));
