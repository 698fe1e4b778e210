use async_trait::async_trait;
use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::{Health, HealthCheck, HealthError};
use tokio::net::{TcpStream, lookup_host};

/// Healthy when a connection is accepted.
pub struct TcpCheck {
    address: String,
}

impl TcpCheck {
    /// Of `HOST:PORT`.
    pub fn new(address: &str) -> Result<Self, String> {
        let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
        match port.and_then(|port| port.parse::<u16>().ok()) {
            Some(_) => Ok(Self { address: address.to_owned() }),
            None => Err(format!("{address:?} is no HOST:PORT")),
        }
    }
}

#[async_trait]
impl HealthCheck for TcpCheck {
    async fn check(&self) -> Result<Health, HealthError> {
        // A name that cannot be looked up says nothing of what stands behind it.
        let addresses: Vec<_> = lookup_host(&self.address)
            .await
            .map_err(|error| {
                let context = format!("look up {}; check the name", self.address);
                SeamError::new(ErrorKind::Unavailable, context).with_source(error)
            })?
            .collect();
        Ok(match TcpStream::connect(addresses.as_slice()).await {
            Ok(_) => Health::healthy("accepts connections"),
            Err(error) => Health::unhealthy(error.to_string()),
        })
    }
}
