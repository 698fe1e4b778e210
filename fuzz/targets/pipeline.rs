//! Runs `mcp_fuzz::pipeline` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::pipeline(data));
