use bytes::Bytes;
use mcp_core::{Candidate, Digest, Inspect, Name, Principal, PublishRefused, RegistryEvent, RequestId};

use crate::publish::Target;
use crate::{Registry, RegistryError};

/// The registry's `Inspect`, where it has one and `draft` must pass it.
///
/// A draft whose request was answered before is let through: it gets the first answer, whatever the rules are by now.
pub(crate) async fn inspector<'a>(
    registry: &'a Registry,
    request_id: Option<&RequestId>,
) -> Result<Option<&'a dyn Inspect>, RegistryError> {
    let Some(inspect) = registry.inspect() else { return Ok(None) };
    if let Some(request_id) = request_id.cloned() {
        let answered = registry.readers().look_up(move |now| Ok(now.request(&request_id)?.is_some())).await?;
        if answered {
            return Ok(None);
        }
    }
    Ok(Some(inspect))
}

/// Asks whether `bytes` may be published as `name`, and gives their digest, which was computed on the way.
pub(crate) async fn admit(
    registry: &Registry,
    inspect: &dyn Inspect,
    name: &Name,
    media_type: &str,
    bytes: &Bytes,
    target: &Target,
    actor: &Principal,
) -> Result<Digest, RegistryError> {
    let mut candidate = Candidate::new(name.clone(), media_type.to_owned(), bytes.clone());
    if let Target::Exact(version) = target {
        candidate = candidate.with_version(version.clone());
    }
    let verdict = inspect
        .inspect(&candidate)
        .await
        .map_err(|source| RegistryError::Inspection { name: name.clone(), source })?;
    if verdict.accepted {
        return Ok(candidate.digest);
    }
    let refused =
        PublishRefused::new(name.clone(), candidate.digest, actor.clone(), verdict.findings.clone());
    registry.tell_apart_from_feed(name.as_str(), RegistryEvent::Refused(refused));
    Err(RegistryError::Refused {
        name: name.clone(),
        findings: verdict.findings,
        truncated: verdict.truncated,
    })
}
