use mcp_core::{Candidate, Digest, Principal, PublishRefused, RegistryEvent};

use crate::publish::Target;
use crate::{Draft, Registry, RegistryError};

/// Asks the registry's `Inspect`, where it has one, whether `draft` may be published, and gives the digest if it was computed on the way.
///
/// A draft whose request was answered before is let through: it gets the first answer, whatever the rules are by now.
pub(crate) async fn admit(
    registry: &Registry,
    draft: &Draft,
    target: &Target,
    actor: &Principal,
) -> Result<Option<Digest>, RegistryError> {
    let Some(inspect) = registry.inspect() else { return Ok(None) };
    if let Some(request_id) = draft.request_id.clone() {
        let answered = registry.readers().read(move |now| Ok(now.request(&request_id)?.is_some())).await?;
        if answered {
            return Ok(None);
        }
    }
    let mut candidate = Candidate::new(draft.name.clone(), draft.media_type.clone(), draft.bytes.clone());
    if let Target::Exact(version) = target {
        candidate = candidate.with_version(version.clone());
    }
    let verdict = inspect
        .inspect(&candidate)
        .await
        .map_err(|source| RegistryError::Inspection { name: draft.name.clone(), source })?;
    if verdict.accepted {
        return Ok(Some(candidate.digest));
    }
    let refused =
        PublishRefused::new(draft.name.clone(), candidate.digest, actor.clone(), verdict.findings.clone());
    registry.tell_apart_from_feed(draft.name.as_str(), RegistryEvent::Refused(refused));
    Err(RegistryError::Refused {
        name: draft.name.clone(),
        findings: verdict.findings,
        truncated: verdict.truncated,
    })
}
