//! Keeps artifacts as immutable versions: published in durable group commits, found by version, channel or text, verified when read.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! use mcp_core::Name;
//! use mcp_registry::{Bump, Draft, Expect, Registry, Select};
//!
//! let registry = Registry::open(folder.path()).await?;
//! let name: Name = "billing/invoice".parse()?;
//! let draft = Draft::new(&name, "{}").media_type("application/schema+json").actor("ci").request_id("build-812");
//! let version = registry.publish_next(draft, Bump::Minor).await?.artifact.version;
//! registry.set_channel(&name, "stable", &version, Expect::Absent).await?;
//! let invoice = registry.get(&name, Select::channel("stable")).await?;
//! assert_eq!((&invoice.bytes[..], version.to_string().as_str()), (&b"{}"[..], "0.1.0"));
//! for hit in registry.search("invoice").await? {
//!     println!("{} {}", hit.name, hit.version);
//! }
//! registry.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The map:
//! - opening: [`Registry`], [`Builder`], [`Settings`]; one writer, and any number of readers;
//! - publishing: [`Draft`], [`Bump`], [`Published`], [`Metadata`] with [`Dependency`] and [`BuildInfo`];
//! - finding: [`Select`], [`Entry`], [`Content`], [`ContentStream`], [`Search`], [`Hits`], [`Dependents`];
//! - moving: a [`Channel`] with [`Expect`], yanks, deprecations, a [`LabelChange`], and the pins of [`mcp_core::Pin`];
//! - what happened: the change feed of [`ChangeRow`]s, by page or as a [`ChangeStream`]; [`Verification`] checks it against everything that is stored;
//! - where bytes are kept: [`StorageBackend`], with [`MemoryStorage`] and [`LocalStorage`], in [`pack`]s.
//!
//! A `Registry` is also the [`Fetch`](mcp_core::Fetch) and the [`Pin`](mcp_core::Pin) that promotion asks for.

mod admission;
mod auto;
mod blob;
mod build_info;
mod builder;
mod bump;
mod catalog;
mod changes;
mod channel;
mod channels;
mod chunked;
mod command;
#[cfg(test)]
mod commit_faults;
mod committer;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counters;
mod dependency;
mod dependents;
mod deposit;
mod deprecation;
mod draft;
mod entry;
mod error;
mod feed;
mod fetch;
mod format;
mod input;
mod interval;
mod labels;
mod linger;
mod lock;
mod metadata;
mod owner;
pub mod pack;
mod pack_writer;
mod packs;
mod pin;
mod publish;
mod read;
mod registry;
mod remembered;
mod replay;
mod request;
mod resolve;
mod save;
mod search;
mod select;
mod settings;
mod stats;
mod storage;
mod stored;
mod verify;
mod version_key;
mod yank;

pub use build_info::BuildInfo;
pub use builder::Builder;
pub use bump::Bump;
pub use changes::ChangeStream;
pub use channel::Expect;
pub use channels::{Channel, ChannelMove};
pub use dependency::{Dependency, DependencyKind};
pub use dependents::{Dependent, Dependents, DependentsPage};
pub use draft::Draft;
pub use entry::{Content, Entry, Published};
pub use error::RegistryError;
pub use feed::{ChangeRow, RegistryChange, genesis};
pub use labels::LabelChange;
pub use mcp_core::{Bucket, Histogram};
pub use metadata::Metadata;
pub use pin::Pinned;
pub use read::ContentStream;
pub use registry::Registry;
pub use search::{Facets, Hit, Hits, Search, Sort};
pub use select::Select;
pub use settings::Settings;
pub use stats::{Activity, Stats};
pub use storage::{
    Append, ByteStream, Key, LocalStorage, MemoryStorage, PutWhen, Stat, StorageBackend, StorageError,
};
#[cfg(feature = "azure")]
pub use storage::{AzureCredentials, AzureSettings, AzureStorage};
#[cfg(feature = "gcs")]
pub use storage::{GcsCredentials, GcsSettings, GcsStorage};
#[cfg(feature = "cloud")]
pub use storage::{RemoteSettings, Secret};
#[cfg(feature = "s3")]
pub use storage::{S3Credentials, S3Settings, S3Storage};
pub use verify::{Fault, Progress, Verification};
