//! Runs `mcp_fuzz::descriptor_set` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::descriptor_set(data));
