//! Input and machines that are in trouble.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archives::{THIRTY, write_thirty};
use crate::outcome::verified_versions;
use crate::program::run;

#[test]
fn an_empty_folder_is_named_and_ends_with_2_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    std::fs::create_dir(&input).unwrap();
    let ended = run(&input, &data);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    let first = ended.stderr.lines().next().unwrap();
    assert_eq!(first, format!("error: find .crate files in {}: there are none", input.display()));
    assert!(ended.stderr.contains("--input DIR"), "{}", ended.stderr);
    assert!(!data.exists(), "a data folder was made for nothing");
}

#[test]
fn unreadable_archives_are_listed_with_the_reason_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    write_thirty(&input);
    let whole = THIRTY[4].archive();
    let truncated = input.join(THIRTY[4].file_name());
    std::fs::write(&truncated, &whole[..whole.len() - 20]).unwrap();
    let garbage = input.join("garbage-1.0.0.crate");
    std::fs::write(&garbage, b"no archive at all").unwrap();
    let empty = input.join("empty-1.0.0.crate");
    std::fs::write(&empty, b"").unwrap();

    let ended = run(&input, &data);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    for (file, why) in [
        (&truncated, "unpack it: the file ends too early"),
        (&garbage, "unpack it: invalid gzip header"),
        (&empty, "unpack it: the file ends too early"),
    ] {
        let line = format!("not read: {}: {why}", file.display());
        assert!(ended.stdout.contains(&line), "{line:?} is missing in\n{}", ended.stdout);
    }
    assert!(ended.stdout.contains("29 of 32 archives read"), "{}", ended.stdout);
    let last = "not complete: 3 archives could not be read";
    assert!(ended.stdout.contains(last), "{}", ended.stdout);
    // 27 crates and three editions of their index.
    assert_eq!(verified_versions(&data), 30);
}

#[test]
fn a_folder_without_one_readable_archive_ends_with_1_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    std::fs::create_dir(&input).unwrap();
    std::fs::write(input.join("garbage-1.0.0.crate"), b"no archive at all").unwrap();
    let ended = run(&input, &data);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("error: make a crate index: no crate is published"), "{}", ended.stderr);
    assert_eq!(verified_versions(&data), 0);
}

#[test]
fn a_damaged_stage_file_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    write_thirty(&input);
    let file = data.join("stages").join("prod.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{ \"fence\": ").unwrap();
    let ended = run(&input, &data);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains(&format!("read the state of a stage from {}", file.display())),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains(&format!("remove {}", file.display())), "{}", ended.stderr);
}

/// A file system of its own in memory, unmounted at the end.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one of this size, or says that the machine does not allow it.
    fn mount(at: PathBuf, kib: u32) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        let size = format!("size={kib}k");
        match mount(&["-t", "tmpfs", "-o", &size, "tmpfs", at.to_str().unwrap()]) {
            Ok(()) => Some(Self(at)),
            Err(why) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "`.ci/run` asks by the environment that nothing is skipped"
                )]
                let required = std::env::var("MCP_PARTS").is_ok_and(|value| value == "require");
                assert!(!required, "mounting a tmpfs is not possible: {why}");
                println!("skipped: mount is not available ({why})");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}"), self.0.to_str().unwrap()]).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("{} stays mounted", self.0.display());
        }
    }
}

fn mount(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// What it says about a place: the message names it and one of the causes, and ends with what to do.
fn assert_told(stderr: &str, place: &Path, causes: &[&str]) {
    assert!(stderr.starts_with("error: "), "{stderr}");
    assert!(stderr.contains(place.to_str().unwrap()), "{} is not named in {stderr}", place.display());
    assert!(causes.iter().any(|cause| stderr.contains(cause)), "none of {causes:?} is named in {stderr}");
    assert!(stderr.lines().count() >= 2, "what to do is missing in {stderr}");
}

#[test]
fn a_data_folder_on_a_read_only_mount_is_named_and_its_registry_still_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    write_thirty(&input);
    let Some(mounted) = Tmpfs::mount(folder.path().join("mount"), 65_536) else { return };
    let data = mounted.0.join("data");
    assert_eq!(run(&input, &data).code, Some(0));
    mounted.remount("ro");
    let ended = run(&input, &data);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert_told(&ended.stderr, &data.join("registry"), &["Read-only file system"]);
    let fresh = run(&input, &mounted.0.join("fresh"));
    assert_eq!(fresh.code, Some(1), "{}", fresh.stdout);
    assert_told(&fresh.stderr, &mounted.0.join("fresh"), &["Read-only file system"]);
    mounted.remount("rw");
    assert_eq!(verified_versions(&data), 31);
}

#[test]
fn a_full_disk_is_named_and_what_was_published_before_verifies_and_goes_on_with_more_room() {
    // Too small for the catalog, for the crates, for the search index, for the journal, for all promotions.
    for kib in [64, 160, 230, 420, 640] {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("input");
        write_thirty(&input);
        let Some(mounted) = Tmpfs::mount(folder.path().join("mount"), kib) else { return };
        let data = mounted.0.join("data");
        let ended = run(&input, &data);
        println!("{kib} KiB: {:?} {}", ended.code, ended.stderr);
        assert_eq!(ended.code, Some(1), "{kib} KiB: {}", ended.stdout);
        assert_told(&ended.stderr, &mounted.0, &["disk is full", "No space left on device"]);
        if kib > 64 {
            println!("{} versions are there and verify, on the full disk", verified_versions(&data));
        }
        mounted.remount("size=65536k");
        let more_room = run(&input, &data);
        assert_eq!(more_room.code, Some(0), "{kib} KiB: {}{}", more_room.stdout, more_room.stderr);
        assert_eq!(verified_versions(&data), 31, "{kib} KiB");
    }
}
