//! Keeps contracts in a registry: a schema that breaks its subject's mode is refused, also after a restart.
#[path = "contracts/store.rs"]
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use mcp_validation::{Document, Mode, StoredContract, ValidationEngine};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/contracts".to_owned()));
    let subject = "shop/order".parse()?;
    for round in ["first", "second"] {
        let contracts = Arc::new(store::RegistryContracts::open(&folder)?);
        let engine = ValidationEngine::builder().store(contracts).build()?;
        engine.set_mode(&subject, Mode::Backward)?;
        for (version, schema) in [
            ("1.0.0", r#"{"type": "object", "required": ["id"]}"#),
            ("2.0.0", r#"{"type": "object", "required": ["id", "total"]}"#),
        ] {
            match engine
                .register_schema(&subject, StoredContract::new(version.parse()?, "json-schema", schema))
            {
                Ok(_) => println!("{round}: {version} is registered"),
                Err(error) => println!("{round}: {version} is refused: {}", error.kind()),
            }
        }
        let report = engine.validate_latest(&subject, &Document::json("{}"))?;
        println!("{round}: {report}");
    }
    Ok(())
}
