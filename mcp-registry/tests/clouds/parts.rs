//! Real servers: found on the `PATH`, started on free ports in a folder of their own, and ended by their own process.

use std::io::ErrorKind as IoErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mcp_registry::{
    AzureCredentials, AzureSettings, AzureStorage, RemoteSettings, S3Credentials, S3Settings, S3Storage,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A process that ends with the test.
struct Part {
    process: Child,
    folder: TempDir,
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Starts a program, or says why the test is skipped. With `MCP_PARTS=require` in the environment a missing part is a failure.
fn start(
    program: &str,
    arguments: impl FnOnce(&str) -> Vec<String>,
    environment: &[(&str, &str)],
) -> Option<Part> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(arguments(folder.path().to_str().unwrap())).envs(environment.iter().copied());
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(process) => Some(Part { process, folder }),
        Err(error) if error.kind() == IoErrorKind::NotFound => {
            #[expect(
                clippy::disallowed_methods,
                reason = "`.ci/run` asks by the environment that nothing is skipped"
            )]
            let required = std::env::var("MCP_PARTS").is_ok_and(|value| value == "require");
            assert!(!required, "{program} is not on the PATH; `.ci/parts` installs it");
            println!("skipped: {program} is not on the PATH; `.ci/parts` installs it");
            None
        }
        Err(error) => panic!("start {program}: {error}"),
    }
}

/// Ports that were free a moment ago.
fn ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// One request; gives the status, or `None` while nobody listens.
async fn ask(port: u16, line: &str, headers: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!(
        "{line} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

async fn until_made(what: &str, part: &mut Part, port: u16, line: &str, headers: &str, body: &str) {
    let mut last = None;
    for _ in 0..600 {
        last = ask(port, line, headers, body).await;
        if last.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        assert_eq!(part.process.try_wait().unwrap(), None, "{what} ended");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} was not ready within a minute; it last answered {last:?}");
}

fn remote(prefix: &str) -> RemoteSettings {
    RemoteSettings { prefix: prefix.to_owned(), allow_http: true, ..RemoteSettings::default() }
}

/// SeaweedFS with one bucket, as S3.
pub(crate) struct SeaweedFs {
    endpoint: String,
    _part: Part,
}

impl SeaweedFs {
    pub(crate) async fn start() -> Option<Self> {
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = ports();
        let identities = r#"{"identities":[{"name":"a","credentials":[{"accessKey":"AK","secretKey":"SK"}],
            "actions":["Admin","Read","Write","List","Tagging"]}]}"#;
        let arguments = |folder: &str| {
            std::fs::write(format!("{folder}/identities.json"), identities).unwrap();
            let mut arguments: Vec<String> = [
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-filer",
                "-s3",
                "-volume.max=100",
                "-master.volumeSizeLimitMB=64",
                "-master.telemetry=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ]
            .map(str::to_owned)
            .to_vec();
            arguments.push(format!("-dir={folder}"));
            arguments.push(format!("-s3.config={folder}/identities.json"));
            arguments.push(format!("-filer.localSocket={folder}/filer.sock"));
            arguments.push(format!("-s3.localSocket={folder}/s3.sock"));
            for (name, port) in [
                ("master.port", master),
                ("master.port.grpc", master_grpc),
                ("volume.port", volume),
                ("volume.port.grpc", volume_grpc),
                ("filer.port", filer),
                ("filer.port.grpc", filer_grpc),
                ("s3.port", s3),
                ("s3.port.grpc", s3_grpc),
            ] {
                arguments.push(format!("-{name}={port}"));
            }
            arguments
        };
        let mut part = start("weed", arguments, &[])?;
        // The filer's folder of buckets; then a write that needs all of its servers.
        until_made("weed", &mut part, filer, "POST /buckets/bucket/", "", "").await;
        until_made("weed", &mut part, filer, "PUT /buckets/bucket/ready", "", "x").await;
        until_made("weed", &mut part, s3, "GET /healthz", "", "").await;
        Some(Self { endpoint: format!("http://127.0.0.1:{s3}"), _part: part })
    }

    pub(crate) fn storage(&self, prefix: &str, secret: &str) -> S3Storage {
        let settings = S3Settings {
            endpoint: Some(self.endpoint.clone()),
            remote: remote(prefix),
            ..S3Settings::new("bucket", "us-east-1")
        };
        S3Storage::new(settings, &S3Credentials::new("AK", secret)).unwrap()
    }
}

/// Azurite with one container.
pub(crate) struct Azurite {
    endpoint: String,
    _part: Part,
}

/// 48 zero bytes.
const ACCOUNT_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Azurite {
    pub(crate) async fn start() -> Option<Self> {
        let [port] = ports();
        let arguments = |folder: &str| {
            let port = port.to_string();
            let arguments = ["--blobHost", "127.0.0.1", "--blobPort", &port, "--silent", "-l", folder];
            let more = ["--skipApiVersionCheck", "--disableTelemetry"];
            arguments.into_iter().chain(more).map(str::to_owned).collect()
        };
        let accounts = format!("account:{ACCOUNT_KEY}");
        let mut part = start("azurite-blob", arguments, &[("AZURITE_ACCOUNTS", &accounts)])?;
        let headers = "x-ms-date:Mon, 01 Jan 2024 00:00:00 GMT\nx-ms-version:2021-08-06";
        let signed =
            format!("PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}\n/account/account/container\nrestype:container");
        let signature = base64(&hmac_of_zeros(signed.as_bytes()));
        let headers =
            format!("{}\r\nauthorization: SharedKey account:{signature}\r\n", headers.replace('\n', "\r\n"));
        until_made("azurite-blob", &mut part, port, "PUT /account/container?restype=container", &headers, "")
            .await;
        assert!(part.folder.path().exists());
        Some(Self { endpoint: format!("http://127.0.0.1:{port}/account"), _part: part })
    }

    pub(crate) fn storage(&self, prefix: &str, key: &str) -> AzureStorage {
        let settings = AzureSettings {
            endpoint: Some(self.endpoint.clone()),
            remote: remote(prefix),
            ..AzureSettings::new("account", "container")
        };
        AzureStorage::new(settings, &AzureCredentials::access_key(key)).unwrap()
    }

    pub(crate) const KEY: &'static str = ACCOUNT_KEY;
}

/// HMAC-SHA256 (RFC 2104) with a key of zero bytes, which is the empty key.
fn hmac_of_zeros(text: &[u8]) -> Vec<u8> {
    let inner = Sha256::new().chain_update([0x36; 64]).chain_update(text).finalize();
    Sha256::new().chain_update([0x5c; 64]).chain_update(inner).finalize().to_vec()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..4).map(move |n| match n <= chunk.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * n)) as usize & 63]),
            false => '=',
        })
    });
    digits.collect()
}
