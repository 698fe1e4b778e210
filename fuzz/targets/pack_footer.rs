//! Runs `mcp_fuzz::pack_footer` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::pack_footer(data));
