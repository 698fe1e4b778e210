//! Runs `mcp_fuzz::chunk_table` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::chunk_table(data));
