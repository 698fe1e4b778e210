use mcp_core::{ErrorKind, Name};

use super::{Failure, ensure};
use crate::journal::Owners;

/// Checks what a journal says about the owners of leases; names that begin with `conformance/` must never have been claimed.
pub(super) async fn owners(owners: &dyn Owners) -> Result<(), Failure> {
    let name = |text: &str| text.parse::<Name>().map_err(|error| Failure::new(error.to_string()));
    let (one, two) = (name("conformance/one")?, name("conformance/two")?);
    ensure(!is_gone(owners, &one).await?, "an owner that was never claimed is not known to be gone")?;
    for life in ["first", "second"] {
        let claim =
            owners.claim(&one).await.map_err(Failure::call(format!("claim a name, the {life} time")))?;
        ensure(!is_gone(owners, &one).await?, format!("the holder of a claim is not gone, the {life} time"))?;
        match owners.claim(&one).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => {
                return Err(Failure::call("a name that is claimed is refused as a conflict")(error));
            }
            Ok(_) => return Err(Failure::new("a name that is claimed is refused as a conflict")),
        }
        ensure(!is_gone(owners, &one).await?, "a claim outlives one that was refused")?;
        let other = owners.claim(&two).await.map_err(Failure::call("claim another name"))?;
        drop(claim);
        ensure(is_gone(owners, &one).await?, format!("who gave up a claim is gone, the {life} time"))?;
        ensure(!is_gone(owners, &two).await?, "the holder of another claim is not")?;
        drop(other);
    }
    Ok(())
}

async fn is_gone(owners: &dyn Owners, owner: &Name) -> Result<bool, Failure> {
    owners.is_gone(owner).await.map_err(Failure::call(format!("ask whether {owner} is gone")))
}
