//! Artifacts larger than memory, and registries of many versions: how fast they are streamed and verified, and in how much memory. Each row is
//! a process of its own, and fails above 256 MiB (300 MiB for `verify` of the versions).

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use mcp_benches::{distinct_bytes, distinct_json, peak_bytes};
use mcp_core::{Name, Version};
use mcp_registry::{Draft, Registry, Select};

type Outcome = Result<(), Box<dyn Error>>;

const USAGE: &str = "usage: registry_stream [--mib N] [--versions N] [--data DIR] [ROW]...
rows: stream-in, stream-out, ranges, stream-verify, file (the bare peer), versions, versions-verify; all without one";
const ROWS: [&str; 7] =
    ["file", "stream-in", "stream-out", "ranges", "stream-verify", "versions", "versions-verify"];
const MIB: usize = 1 << 20;

struct Arguments {
    mib: u64,
    versions: u64,
    data: PathBuf,
    rows: Vec<String>,
    /// Do this row here, and not in a process of its own.
    here: bool,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let data = std::env::temp_dir().join("registry_stream");
    let mut arguments = Arguments { mib: 4096, versions: 1_000_000, data, rows: Vec::new(), here: false };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(USAGE);
        match argument.as_str() {
            "--mib" => arguments.mib = value()?.parse()?,
            "--versions" => arguments.versions = value()?.parse()?,
            "--data" => arguments.data = value()?.into(),
            "--here" => arguments.here = true,
            row if ROWS.contains(&row) => arguments.rows.push(row.to_owned()),
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.rows.is_empty() {
        arguments.rows = ROWS.map(str::to_owned).to_vec();
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| if arguments.here { here(&arguments) } else { each(&arguments) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn each(arguments: &Arguments) -> Outcome {
    std::fs::create_dir_all(&arguments.data)?;
    let mut failed = Vec::new();
    for row in &arguments.rows {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--here", "--mib", &arguments.mib.to_string()]);
        command
            .args(["--versions", &arguments.versions.to_string()])
            .arg("--data")
            .arg(&arguments.data)
            .arg(row);
        if !command.status()?.success() {
            failed.push(row.as_str());
        }
    }
    std::fs::remove_dir_all(&arguments.data)?;
    if failed.is_empty() { Ok(()) } else { Err(format!("missed: {}", failed.join(", ")).into()) }
}

fn here(arguments: &Arguments) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let (large, small) = (arguments.data.join("large"), arguments.data.join("small"));
    for row in &arguments.rows {
        let started = Instant::now();
        let bytes = arguments.mib * MIB as u64;
        let (what, limit) = match row.as_str() {
            "file" => (bare_file(&arguments.data.join("bare"), arguments.mib)?, 256),
            "stream-in" => (runtime.block_on(stream_in(&large, arguments.mib))?, 256),
            "stream-out" => (runtime.block_on(stream_out(&large))?, 256),
            "ranges" => (runtime.block_on(ranges(&large, bytes))?, 256),
            "stream-verify" => (runtime.block_on(verify(&large))?, 256),
            "versions" => (runtime.block_on(versions(&small, arguments.versions))?, 1024),
            _ => (runtime.block_on(verify(&small))?, 300),
        };
        let seconds = started.elapsed().as_secs_f64();
        let peak = peak_bytes() >> 20;
        println!("{row}: {what}, {seconds:.1} s in all, {peak} MiB at most of {limit}");
        if peak > limit {
            return Err(format!("{row} took {peak} MiB").into());
        }
    }
    Ok(())
}

/// Part `number` of the large artifact: by turns noise, and text that compresses.
struct Parts(Vec<Vec<u8>>);

impl Parts {
    fn new() -> Self {
        let part = |number: u64| {
            let mut part = if number.is_multiple_of(2) {
                distinct_bytes(number, MIB)
            } else {
                distinct_json(number, MIB + 4096)
            };
            part.truncate(MIB);
            part
        };
        Self((0..8).map(part).collect())
    }

    fn part(&self, number: u64) -> Bytes {
        let mut part = self.0[usize::try_from(number % 8).unwrap_or_default()].clone();
        part[..8].copy_from_slice(&number.to_le_bytes());
        part.into()
    }
}

fn rate(bytes: u64, seconds: f64) -> String {
    format!("{bytes} bytes at {:.0} MB/s", bytes as f64 / 1e6 / seconds)
}

fn bare_file(path: &Path, mib: u64) -> Result<String, Box<dyn Error>> {
    let parts = Parts::new();
    let started = Instant::now();
    let mut file = File::create(path)?;
    for number in 0..mib {
        file.write_all(&parts.part(number))?;
    }
    file.sync_all()?;
    let written = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let (mut file, mut part) = (File::open(path)?, vec![0; MIB]);
    let mut hasher = blake3::Hasher::new();
    for _ in 0..mib {
        file.read_exact(&mut part)?;
        hasher.update(&part);
    }
    std::hint::black_box(hasher.finalize());
    let read = started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    let bytes = mib * MIB as u64;
    Ok(format!("written and synced: {}; read with BLAKE3: {}", rate(bytes, written), rate(bytes, read)))
}

async fn stream_in(folder: &Path, mib: u64) -> Result<String, Box<dyn Error>> {
    let registry = Registry::open(folder).await?;
    let parts = Parts::new();
    let stream = stream::iter(0..mib).map(move |number| Ok(parts.part(number)));
    let started = Instant::now();
    let name: Name = "large".parse()?;
    let published = registry.publish(Draft::stream(&name, stream), &Version::new(1, 0, 0)).await?;
    let seconds = started.elapsed().as_secs_f64();
    let stored = registry.stats().await?.stored_bytes;
    registry.close().await?;
    let stored = stored as f64 / (mib * MIB as u64) as f64 * 100.0;
    Ok(format!("published: {}, {stored:.0}% stored, {}", rate(mib * MIB as u64, seconds), published.digest))
}

async fn stream_out(folder: &Path) -> Result<String, Box<dyn Error>> {
    let registry = Registry::open_read_only(folder).await?;
    let started = Instant::now();
    let mut stream = registry.get_stream(&"large".parse()?, Select::latest()).await?;
    let mut bytes = 0;
    while let Some(part) = stream.next().await {
        bytes += part?.len() as u64;
    }
    let seconds = started.elapsed().as_secs_f64();
    if bytes != stream.entry.size {
        return Err("it ended early".into());
    }
    Ok(format!("read, each chunk compared with its digest: {}", rate(bytes, seconds)))
}

async fn ranges(folder: &Path, size: u64) -> Result<String, Box<dyn Error>> {
    const RANGE: u64 = 64 << 10;
    let registry = Registry::open_read_only(folder).await?;
    let name: Name = "large".parse()?;
    let mut times = Vec::new();
    for number in 0..500_u64 {
        let start = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (size - RANGE);
        let started = Instant::now();
        let read = registry.get_range(&name, Select::latest(), start..start + RANGE).await?;
        times.push(started.elapsed());
        if read.bytes.len() as u64 != RANGE {
            return Err("a range is too short".into());
        }
    }
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
    Ok(format!("500 ranges of 64 KiB: p50 {:.2} ms, p99 {:.2} ms", at(50), at(99)))
}

async fn verify(folder: &Path) -> Result<String, Box<dyn Error>> {
    let registry = Registry::open_read_only(folder).await?;
    let started = Instant::now();
    let found = registry.verify().await?;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(fault) = found.faults.first() {
        return Err(fault.to_string().into());
    }
    let bytes = registry.stats().await?.logical_bytes;
    Ok(format!("verified: {} rows, {} blobs, {}", found.rows, found.blobs, rate(bytes, seconds)))
}

async fn versions(folder: &Path, versions: u64) -> Result<String, Box<dyn Error>> {
    const AT_A_TIME: usize = 512;
    let registry = Registry::open(folder).await?;
    let started = Instant::now();
    let mut published = stream::iter(0..versions)
        .map(|number| {
            let registry = registry.clone();
            async move {
                let name: Name = format!("team-{}/part-{}", number % 100, number / 10).parse()?;
                let draft = Draft::new(&name, distinct_json(number, 1024)).description("a part").tag("bench");
                registry.publish(draft, &Version::new(number % 10, 0, 0)).await?;
                Ok::<_, Box<dyn Error>>(())
            }
        })
        .buffer_unordered(AT_A_TIME);
    while let Some(outcome) = published.next().await {
        outcome?;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(published);
    registry.close().await?;
    Ok(format!("{versions} versions of 1 KiB published at {:.0}/s", versions as f64 / seconds))
}
