//! Who drives: each `run` takes the first free of some lock files beside the journal, and its leases are in the name of that file.
//!
//! The operating system frees the lock when the process is gone, however it ended. So the `run` after a kill finds the same file free, comes with
//! the name of the owner that is gone, and takes its leases at once. The scripts of a `run` hold the lock too, as their standard input: while
//! one of them is left over, the name is not free, and the next `run` is another owner: a fenced stage it takes over with a newer fence, which
//! the script's is refused for, and one that is not waits for an operator. A process that is only paused keeps its lock.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use mcp_core::Name;

use crate::failure::Failure;

/// More drivers than this on one journal are refused.
const SLOTS: u32 = 64;

/// A driver's name, and the lock that makes it the only one of that name.
pub struct Slot {
    pub owner: Name,
    pub file: Arc<File>,
}

impl Slot {
    pub fn take(data: &Path) -> Result<Self, Failure> {
        for number in 0..SLOTS {
            let name = format!("driver-{number}");
            let path = data.join(format!("{name}.lock"));
            let attempted = format!("lock {}", path.display());
            let file = File::options().create(true).truncate(false).write(true).read(true).open(&path);
            let file = file.map_err(|error| Failure::unavailable(&attempted, &error))?;
            match file.try_lock() {
                Ok(()) => return Ok(Self { owner: name.parse()?, file: Arc::new(file) }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(Failure::unavailable(&attempted, &error)),
            }
        }
        Err(Failure { message: format!("drive: {SLOTS} drivers run already on {}", data.display()), code: 4 })
    }
}
