//! Runs `mcp_fuzz::plan_request` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::plan_request(data));
