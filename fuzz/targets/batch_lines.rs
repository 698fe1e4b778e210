//! Runs `mcp_fuzz::batch_lines` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::batch_lines(data));
