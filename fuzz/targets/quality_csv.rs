//! Runs `mcp_fuzz::quality_csv` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::quality_csv(data));
