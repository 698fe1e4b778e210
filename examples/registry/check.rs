//! Verifies everything that is stored, and tells each fault with its place.

use std::ops::ControlFlow;
use std::process::ExitCode;

use mcp_registry::Registry;
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::progress;

/// Damage is an answer, not an error: all of it is told, and the code is 3.
pub async fn verify(registry: &Registry, output: &Output) -> Result<ExitCode, Failure> {
    let working = progress::working("verifying".to_owned());
    let bar = working.clone();
    let verified = registry
        .verify_with(move |progress| {
            bar.set_message(match progress.all_blobs {
                0 => format!("verifying: {} rows", progress.rows),
                all => format!("verifying: {} of {all} blobs, {} faults", progress.blobs, progress.faults),
            });
            ControlFlow::Continue(())
        })
        .await;
    working.finish_and_clear();
    let verified = verified?;
    for fault in &verified.faults {
        output.tell(&fault.to_string(), || json!({ "fault": fault }))?;
    }
    let faults = verified.more_faults.saturating_add(verified.faults.len() as u64);
    let text = format!(
        "{} rows, {} packs, {} blobs, {faults} faults",
        verified.rows, verified.packs, verified.blobs
    );
    output.tell(&text, || {
        json!({"rows": verified.rows, "packs": verified.packs, "blobs": verified.blobs, "faults": faults, "sound": faults == 0})
    })?;
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
