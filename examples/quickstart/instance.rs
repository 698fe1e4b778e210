//! One HTTP server on loopback that serves a crate index.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use mcp_promotion::Release;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::index::Index;

/// What a server answers from.
#[derive(Debug)]
pub struct Served {
    /// Which release it is.
    pub release: Release,
    /// The content of its one artifact.
    pub index: Index,
}

type Shared = Arc<RwLock<Option<Arc<Served>>>>;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Instance {
    /// What it is called, such as `canary`.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    served: Shared,
    task: JoinHandle<()>,
}

impl Instance {
    /// Listens on a port that the operating system chooses, and serves nothing yet.
    pub async fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let served = Shared::default();
        let routes = Router::new()
            .route("/release", get(release))
            .route("/crates/{name}", get(entry))
            .with_state(Arc::clone(&served));
        let task = tokio::spawn(async move {
            // It ends only with the task.
            axum::serve(listener, routes).await.ok();
        });
        Ok(Self { name, address, served, task })
    }

    /// From now on serves this; requests that are under way end with what they began with.
    pub fn serve(&self, served: Option<Arc<Served>>) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
    }

    /// What it serves.
    pub fn served(&self) -> Option<Arc<Served>> {
        current(&self.served)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn current(served: &Shared) -> Option<Arc<Served>> {
    served.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// `GET /release`: what this server runs.
async fn release(State(served): State<Shared>) -> Json<Value> {
    Json(match current(&served) {
        Some(served) => json!({
            "release": served.release.to_string(),
            "digest": served.release.digest(),
            "crates": served.index.crates.len(),
        }),
        None => json!({ "release": null }),
    })
}

/// `GET /crates/NAME`: the entry, or 404.
async fn entry(State(served): State<Shared>, Path(name): Path<String>) -> Result<Json<Value>, StatusCode> {
    let served = current(&served).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let entry = served.index.crates.get(&name).ok_or(StatusCode::NOT_FOUND)?;
    serde_json::to_value(entry).map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
