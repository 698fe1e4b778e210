//! Runs `mcp_fuzz::protobuf_json` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::protobuf_json(data));
