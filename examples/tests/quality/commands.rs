//! What the program prints, writes, and ends with.

use serde_json::{Value, json};

use crate::program::{Host, testdata};

const TABLE: &str = "id,kind,price\n1,a,1.5\n2,b,\n3,a,2\n4,<script>,x\n";
const POLICY: &str = "\
complete: [/price]
types: {/price: number}
unique: [{name: id, fields: [/id]}]
id: /id
profile: {all: true, quantiles: [0.5], frequent: 3}
thresholds:
  completeness:/price: {warn: 0.9, fail: 0.5}
changes:
  new_values: [/kind]
  drops: {overall: 0.05}
";

#[test]
fn without_a_policy_every_column_has_its_figures_and_what_was_guessed_is_said() {
    let host = Host::new();
    let penguins = testdata("penguins.csv");
    let outcome = host.call(&[penguins.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.err.ends_with("read as csv with cells between ',', guessed from its name and content\n"),
        "{outcome:?}"
    );
    assert!(outcome.out.starts_with("344 records, 0 of them unreadable: pass\n"), "{}", outcome.out);
    let line = outcome.out.lines().find(|line| line.starts_with("body_mass_g")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        words[..9],
        ["body_mass_g", "2", "94", "integer", "2700", "4201.75", "4050", "6300", "801.95"],
        "{line}"
    );
}

#[test]
fn a_policy_in_yaml_and_in_json_gives_scores_and_an_exit_code() {
    let host = Host::new();
    host.write("t.csv", TABLE);
    host.write("p.yaml", POLICY);
    let outcome = host.call(&["--policy", "p.yaml", "--json", "--failures", "failures.jsonl", "t.csv"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "a warning: {outcome:?}");
    let summary = &outcome.json()["summary"];
    assert_eq!((&summary["verdict"], &summary["records"]), (&json!("warn"), &json!(4)));
    let checks: Vec<String> = summary["checks"].as_array().unwrap().iter().map(check).collect();
    assert_eq!(
        checks,
        ["completeness:/price 3/4 warn", "consistency:/price 2/3 pass", "uniqueness:id 4/4 pass"]
    );
    let failures: Vec<Value> =
        host.read("failures.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failure = |record: u64, id: &str, check: &str| json!({"file": "t.csv", "record": record, "line": record + 1, "id": id, "check": check});
    assert_eq!(failures, [failure(2, "2", "completeness:/price"), failure(4, "4", "consistency:/price")]);
    host.write("p.json", r#"{"complete": ["/price"], "thresholds": {"completeness:/price": {"fail": 0.8}}}"#);
    let failed = host.call(&["--policy", "p.json", "t.csv"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(
        failed.out.contains("3 of 4") && failed.out.contains("75.00%") && failed.out.contains("fail"),
        "{failed:?}"
    );
}

fn check(check: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let score = &check["score"];
    format!(
        "{} {}/{} {}",
        word(&check["target"]),
        score["numerator"],
        score["denominator"],
        word(&check["verdict"])
    )
}

#[test]
fn states_are_merged_and_compared_and_a_damaged_one_is_refused() {
    let host = Host::new();
    host.write("p.yaml", POLICY);
    host.write("one.csv", "id,kind,price\n1,a,1.5\n");
    host.write("two.jsonl", "{\"id\": 2, \"kind\": \"b\", \"price\": null}\n");
    host.write("both.csv", "id,kind,price\n1,a,1.5\n2,b,\n");
    for (file, state) in [("one.csv", "one"), ("two.jsonl", "two"), ("both.csv", "both")] {
        let outcome = host.call(&["--policy", "p.yaml", "--json", "--state", state, file]);
        assert_eq!(outcome.code, Some(i32::from(state == "two")), "alone, two has no price: {outcome:?}");
    }
    let merged =
        host.call(&["--policy", "p.yaml", "--json", "--merge", "one", "--merge", "two", "--state", "merged"]);
    assert_eq!(merged.code, Some(0), "{merged:?}");
    assert_eq!(std::fs::read(host.path("merged")).unwrap(), std::fs::read(host.path("both")).unwrap());
    host.write("t.csv", TABLE);
    let changed = host.call(&["--policy", "p.yaml", "--compare", "both", "t.csv"]);
    assert_eq!(changed.code, Some(1), "{changed:?}");
    assert!(
        changed.out.contains("changed too much: 1 values of /kind are new: \"<script>\""),
        "{}",
        changed.out
    );
    let mut bytes = std::fs::read(host.path("one")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    host.write("damaged", bytes);
    let refused = host.call(&["--policy", "p.yaml", "--merge", "damaged"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
    assert!(refused.err.contains("damaged: load a quality state: its checksum"), "{refused:?}");
    let other = host.call(&["--merge", "one"]);
    assert!(other.code == Some(2) && other.err.contains("made under another policy"), "{other:?}");
}

#[test]
fn a_state_may_replace_the_one_that_it_is_compared_with_and_the_older_one_counts() {
    let host = Host::new();
    host.write("p.json", r#"{"complete": ["/a"], "changes": {"drops": {"overall": 0.01}}}"#);
    host.write("monday.csv", "a,b\n1,1\n2,2\n");
    host.write("tuesday.csv", "a,b\n1,1\n,2\n");
    let call = |file| host.call(&["--policy", "p.json", "--state", "last", "--json", file]);
    assert_eq!(call("monday.csv").code, Some(0));
    let arguments = ["--policy", "p.json", "--compare", "last", "--state", "last", "--json", "tuesday.csv"];
    let dropped = host.call(&arguments);
    assert_eq!(dropped.code, Some(1), "{dropped:?}");
    let same = host.call(&arguments);
    assert_eq!(same.code, Some(0), "the state of tuesday has taken the place of monday's: {same:?}");
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let host = Host::new();
    host.write("p.yaml", POLICY);
    host.write("t.csv", TABLE);
    let cases: [&[&str]; 4] = [
        &["--failures", "./t.csv", "t.csv"],
        &["--html", "p.yaml", "--policy", "p.yaml", "t.csv"],
        &["--state", "t.csv", "t.csv"],
        &["--html", "x", "--failures", "x", "t.csv"],
    ];
    for arguments in cases {
        let outcome = host.call(arguments);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{arguments:?}: {outcome:?}");
        assert!(outcome.err.contains("name another file"), "{outcome:?}");
    }
    assert_eq!((host.read("t.csv").as_str(), host.read("p.yaml").as_str()), (TABLE, POLICY));
}

#[test]
fn records_of_which_none_can_be_read_are_not_judged() {
    let host = Host::new();
    host.write("t.csv", TABLE);
    let outcome = host.call(&["--format", "json-lines", "t.csv"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{outcome:?}");
    assert!(outcome.err.contains("none of them can be read; name their format"), "{outcome:?}");
}

#[test]
fn the_page_needs_nothing_but_itself_and_escapes_what_records_hold() {
    let host = Host::new();
    host.write("p.yaml", POLICY);
    host.write("<i>&.csv", TABLE);
    let outcome = host.call(&["--policy", "p.yaml", "--html", "page.html", "<i>&.csv"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let page = host.read("page.html");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("&lt;script&gt;") && page.contains("&lt;i&gt;&amp;.csv"));
    for never in ["<script", "<i>", "http://", "https://", "url(", "@import", "<link", "<img"] {
        assert!(!page.contains(never), "{never}");
    }
    for shown in ["prefers-color-scheme: dark", "default-src 'none'", "<svg", "3 of 4", "75.00%"] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn what_is_on_standard_input_is_guessed_by_its_content() {
    let host = Host::new();
    let read = |input: &[u8]| host.call_with(&["-"], input).err;
    assert!(read(b"{\"a\": 1}\n").starts_with("-: read as json-lines, guessed"));
    assert!(read(b"a;b\n1;2\n").starts_with("-: read as csv with cells between ';', guessed"));
    assert!(read(b"a\tb\n1\t2\n").starts_with("-: read as csv with cells between '\\t', guessed"));
    assert!(read(b"[1]").contains("one JSON array"));
    let told = host.call_with(&["--format", "csv", "--delimiter", "|", "--json", "-"], b"a|b\n1|2\n");
    assert_eq!(
        told.json()["inputs"],
        json!([{"file": "-", "format": "csv", "delimiter": "|", "guessed": false}])
    );
}

#[test]
fn wrong_usage_and_what_cannot_be_read_end_with_two_and_say_why() {
    let host = Host::new();
    host.write("empty.csv", "");
    host.write("twice.csv", "a,a\n1,2\n");
    host.write("bad.yaml", "complete: [a]\n");
    host.write("unknown.json", "{\"compleat\": []}");
    host.write("t.csv", TABLE);
    host.write("none.csv", "id,price\n");
    host.write("p.yaml", POLICY);
    let cases: [(&[&str], &str); 9] = [
        (&[], "name a FILE"),
        (&["--formt", "x", "t.csv"], "--formt"),
        (&["--format", "xml", "t.csv"], "csv, tsv or json-lines"),
        (&["missing.csv"], "read missing.csv: No such file"),
        (&["empty.csv"], "the input is empty"),
        (&["twice.csv"], "two columns are called \"a\""),
        (&["--policy", "bad.yaml", "t.csv"], "does not begin with '/'"),
        (&["--policy", "unknown.json", "t.csv"], "compleat"),
        (&["--state", "no/such/folder", "t.csv"], "write no/such/folder"),
    ];
    for (arguments, reason) in cases {
        let outcome = host.call(arguments);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{arguments:?}: {outcome:?}");
        assert!(outcome.err.contains(reason), "{arguments:?}: {outcome:?}");
    }
    let unknown = host.call(&["--policy", "p.yaml", "none.csv"]);
    assert_eq!(unknown.code, Some(2), "a threshold, and no record that it could be told of: {unknown:?}");
    assert!(unknown.out.starts_with("0 records") && unknown.out.contains("unknown"), "{unknown:?}");
}

#[test]
fn unreadable_rows_are_written_beside_failures_and_a_schema_says_what_is_valid() {
    let host = Host::new();
    host.write("t.csv", "a,b\n1,2\n3\n4,x\n");
    host.write("s.json", r#"{"properties": {"b": {"type": "number"}}}"#);
    let outcome = host.call(&["--schema", "s.json", "--json", "--failures", "f", "t.csv"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let lines: Vec<Value> = host.read("f").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [
            json!({"file": "t.csv", "record": 2, "line": 3, "unreadable": "it has 1 cells, and there are 2 columns"}),
            json!({"file": "t.csv", "record": 3, "line": 4, "check": "validity:contract"}),
        ]
    );
    assert_eq!(
        outcome.json()["summary"]["checks"][0]["score"],
        json!({"numerator": 1, "denominator": 3, "error": 0.0})
    );
}
