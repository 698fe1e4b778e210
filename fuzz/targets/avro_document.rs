//! Runs `mcp_fuzz::avro_document` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_fuzz::avro_document(data));
