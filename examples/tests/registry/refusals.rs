use crate::program::Host;

#[test]
fn nonsense_on_the_command_line_ends_with_2_and_makes_no_folder() {
    let host = Host::new();
    host.write("file", "x");
    for arguments in [
        &[][..],
        &["nonsense"],
        &["publish"],
        &["publish", "app@1.0.0"],
        &["publish", "app", "file"],
        &["publish", "app@1.0", "file"],
        &["publish", "app@01.0.0", "file"],
        &["publish", "app@next:", "file"],
        &["publish", "app@next:middle", "file"],
        &["publish", "../x@1.0.0", "file"],
        &["publish", "/etc/x@1.0.0", "file"],
        &["publish", "аpp@1.0.0", "file"],
        &["publish", "app@1.0.0", "file", "more"],
        &["publish", "app@1.0.0", "file", "--description", "a", "--description", "b"],
        &["publish", "app@1.0.0", "file", "--reason", "r"],
        &["publish", "--batch", "app@1.0.0"],
        &["get"],
        &["get", ""],
        &["get", "app@"],
        &["get", "app@not a requirement"],
        &["get", "app:"],
        &["get", "app", "--batch"],
        &["get", "blake3:0123"],
        &["get", "blake3:ABCD"],
        &["get", "docs/a:"],
        &["publish", "app@next:pre:", "file"],
        &["publish", "app@next:pre:rc_1", "file"],
        &["publish", "app@next:pre:rc+x", "file"],
        &["publish", "app@1.0.0", "file", "--label", "key"],
        &["publish", "app@1.0.0", "file", "--needs", "lib"],
        &["deprecate", "app@1.0.0"],
        &["labels", "app"],
        &["labels", "app@1.0.0", "--set", "key"],
        &["dependents"],
        &["dependents", "app", "--admitting", "^1"],
        &["channels"],
        &["search"],
        &["search", "x", "--limit", "-1"],
        &["search", "x", "--limit", "many"],
        &["channel", "app", "1.0.0"],
        &["channel", "app:stable"],
        &["channel", "app:stable", "1.0.0", "--expect", "x"],
        &["yank", "app@1.0.0"],
        &["yank", "app", "--reason", "r"],
        &["changes", "--after", "x"],
        &["stats", "--unknown"],
        &["stats", "-x"],
    ] {
        let (code, message) = host.refused(arguments);
        assert_eq!(code, 2, "{arguments:?}: {message}");
        assert!(message.starts_with("registry: ") && message.len() > 20, "{arguments:?}: {message}");
    }
    assert!(!host.path("data").exists());
    let long = "a".repeat(10_000);
    assert_eq!(host.refused(&["get", &long]).0, 2);
}

#[test]
fn what_is_refused_says_what_to_do() {
    let host = Host::new();
    let says = |arguments: &[&str], part: &str| {
        let (_, message) = host.refused(arguments);
        assert!(message.contains(part), "{arguments:?}: {message}");
    };
    says(&["get", "app"], "there is no such folder; look at its path, or open it for writing to make one");
    says(&["get", "docs/a:"], "behind : stands the name of a channel");
    says(&["get", "app@"], "behind @ stands a version");
    says(&["get", &format!("blake3:{}", "0".repeat(63))], "64 digits of 0 to 9 and a to f");
    says(&["publish", "app@next:pre:rc_1", "file"], "letters, digits and '-'");
    host.write("file", "x");
    host.done(&["publish", "app@1.0.0", "file"]);
    std::fs::remove_file(host.path("data/catalog.db")).unwrap();
    let (code, message) = host.refused(&["get", "app"]);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("it is empty or missing although there are packs"), "{message}");
    assert!(message.contains("restore"), "{message}");
}

#[test]
fn an_error_is_the_last_line_of_json_too() {
    let host = Host::new();
    let outcome = host.call(&["--json", "get", "app"]);
    assert_eq!(outcome.code, Some(1));
    let error = &outcome.lines()[0]["error"];
    assert_eq!(error["code"], 1);
    assert!(outcome.err.contains(error["message"].as_str().unwrap()));
    assert_eq!(host.call(&["nonsense", "--json"]).lines()[0]["error"]["code"], 2);
}

#[test]
fn what_is_not_there_ends_with_1() {
    let host = Host::new();
    assert_eq!(host.refused(&["stats"]).0, 1);
    host.write("file", "x");
    host.done(&["publish", "app@1.0.0", "file"]);
    let unknown = format!("blake3:{}", "0".repeat(64));
    for arguments in [
        &["get", "app@2.0.0"][..],
        &["get", "app@^2"],
        &["get", "app:stable"],
        &["get", "other"],
        &["get", &unknown],
        &["get", "app", "-o", "missing/folder/file"],
        &["resolve", "other"],
        &["publish", "app@1.1.0", "no-such-file"],
        &["publish", "app@1.1.0", "file", "--media-type", "nonsense"],
        &["yank", "app@2.0.0", "--reason", "r"],
    ] {
        assert_eq!(host.refused(arguments).0, 1, "{arguments:?}");
    }
    assert_eq!(host.json(&["stats"])["versions"], 1);
}

#[test]
fn a_file_is_replaced_only_by_bytes_that_are_right() {
    let host = Host::new();
    host.write("file", &"right ".repeat(100));
    host.done(&["publish", "app@1.0.0", "file"]);
    host.write("out", "old");
    damage(&host);
    assert_eq!(host.refused(&["get", "app", "-o", "out"]).0, 3);
    assert_eq!(host.refused(&["get", "app"]).0, 3);
    assert_eq!(std::fs::read_to_string(host.path("out")).unwrap(), "old");
    let files = std::fs::read_dir(host.path("")).unwrap().count();
    assert_eq!(files, 3, "data, file and out, and nothing half done");
}

/// Flips a bit in each half of the only pack.
fn damage(host: &Host) {
    let packs: Vec<_> =
        std::fs::read_dir(host.path("data/packs")).unwrap().map(|pack| pack.unwrap().path()).collect();
    assert_eq!(packs.len(), 1);
    let mut bytes = std::fs::read(&packs[0]).unwrap();
    let at = bytes.windows(5).position(|window| window == b"right").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&packs[0], bytes).unwrap();
}

#[test]
fn verify_tells_each_fault_with_its_place_and_ends_with_3() {
    let host = Host::new();
    host.write("file", &"right ".repeat(100));
    host.done(&["publish", "app@1.0.0", "file"]);
    damage(&host);
    let outcome = host.call(&["verify"]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert!(lines[0].starts_with("packs/") && lines[0].contains("app@1.0.0"), "{lines:?}");
    assert!(lines.last().unwrap().ends_with(" 1 faults"), "{lines:?}");
    let json = host.call(&["--json", "verify"]);
    assert_eq!(json.code, Some(3));
    let lines = json.lines();
    assert_eq!((&lines[0]["fault"]["subject"], &lines[1]["sound"]), (&"app@1.0.0".into(), &false.into()));
}

#[test]
fn a_second_writer_is_told_who_has_the_lock_and_readers_are_not_kept_out() {
    let host = Host::new();
    host.write("file", "x");
    host.done(&["publish", "app@1.0.0", "file"]);
    let mut first = host.start_batch();
    // One answer, so that the lock is held.
    let mut stdin = first.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"{\"name\":\"b\",\"version\":\"1.0.0\",\"text\":\"x\"}\n")
        .unwrap();
    let mut out = std::io::BufReader::new(first.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(line.contains("\"created\":true"), "{line}");
    let holder = format!("process {}", first.id());
    for arguments in [
        &["publish", "app@1.1.0", "file"][..],
        &["publish", "--batch"],
        &["channel", "app:stable", "1.0.0"],
        &["yank", "app@1.0.0", "--reason", "r"],
    ] {
        let (code, message) = host.refused(arguments);
        assert_eq!(code, 4, "{message}");
        assert!(message.contains(&holder), "{message}");
    }
    assert_eq!(host.done(&["get", "b"]), "x");
    assert_eq!(host.done(&["search", "b"]), "b@1.0.0");
    for arguments in [&["resolve", "b"][..], &["versions", "b"], &["changes"], &["verify"], &["stats"]] {
        host.done(arguments);
    }
    drop(stdin);
    assert_eq!(first.wait().unwrap().code(), Some(0));
}
