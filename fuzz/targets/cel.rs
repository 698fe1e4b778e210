//! Runs `mcp_fuzz::cel` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::cel(data));
