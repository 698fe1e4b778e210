//! Runs `mcp_fuzz::calendar` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::calendar(data));
