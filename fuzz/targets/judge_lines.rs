//! Runs `mcp_fuzz::judge_lines` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::judge_lines(data));
