//! Runs `mcp_fuzz::proto_text` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::proto_text(data));
