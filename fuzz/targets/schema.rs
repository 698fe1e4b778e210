//! Runs `mcp_fuzz::schema` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::schema(data));
