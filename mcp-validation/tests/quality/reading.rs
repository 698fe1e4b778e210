//! Records from CSV and JSON lines: figures, failures with their lines, and whatever hostile input holds.

use std::io::Read;
use std::num::NonZeroUsize;

use mcp_core::{ErrorKind, SeamError};
use mcp_validation::quality::{
    Csv, Failure, FieldType, Quality, QualityPolicy, Reading, RecordFormat, Unlisted,
};
use mcp_validation::rule::{Operator, Rule};
use mcp_validation::{Contract, ValidationError};
use serde_json::json;

use super::{read, shown};

fn quality(policy: QualityPolicy) -> Quality {
    Quality::new(policy).unwrap()
}

fn refused(quality: &Quality, input: impl Read, reading: &Reading) -> (ErrorKind, String) {
    match quality.read(input, reading, &mut Unlisted) {
        Err(ValidationError::NotRead { source }) => (source.kind(), source.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_figures_of_a_small_table_are_those_that_anyone_can_count() {
    let table = "\u{feff}id,price,day,note\r\n1,1.5,2026-01-02,a\r\n2,,2026-01-01,\"b,\"\"c\"\"\"\r\n\r\n3,2,NA,a\r\n4,-0.5,x,a\r\n";
    let policy = QualityPolicy::new().typed("/day", FieldType::Date).profile_all([0.5], 2);
    let quality = quality(policy);
    let (state, failures) = read(&quality, table.as_bytes(), &Reading::csv());
    assert_eq!(failures, ["4 Some(6) None consistency:/day"], "the blank line 4 is no record");
    let summary = quality.summary(&state).unwrap();
    assert_eq!((summary.records, summary.unreadable), (4, 0));
    let price = summary.field("/price").unwrap();
    assert_eq!((price.nulls, price.distinct.value), (1, 3.0));
    assert_eq!(price.types, [("integer".to_owned(), 1), ("number".to_owned(), 2)].into());
    let numbers = price.numbers.as_ref().unwrap();
    assert_eq!((numbers.count, numbers.sum, numbers.mean), (3, Some(3.0), Some(1.0)));
    assert_eq!((numbers.min.as_f64(), numbers.max.as_i64()), (Some(-0.5), Some(2)));
    assert_eq!(numbers.standard_deviation, Some(1.75_f64.sqrt()));
    assert_eq!((numbers.quantiles[0].value, numbers.quantile_error), (1.5, 0.0));
    let day = summary.field("/day").unwrap();
    assert_eq!(day.earliest.map(|day| day.to_string()).as_deref(), Some("2026-01-01T00:00:00.000000Z"));
    assert_eq!(day.latest.map(|day| day.to_string()).as_deref(), Some("2026-01-02T00:00:00.000000Z"));
    let note = summary.field("/note").unwrap();
    let top: Vec<(&str, u64)> =
        note.frequent.iter().map(|value| (value.value.as_str(), value.count)).collect();
    assert_eq!(top, [("a", 3), ("b,\"c\"", 1)]);
}

#[test]
fn what_cannot_be_read_is_told_with_its_line_and_ends_nothing() {
    let mut table = b"a,b\n1,2\n3\n4,5,6\n7,\xff\n\"8,9\n".to_vec();
    // Without a closing quote in sight, the line alone is lost.
    let rows: String = (10..40_000).map(|n| format!("{n},x\n")).collect();
    table.extend_from_slice(rows.as_bytes());
    table.extend_from_slice(format!("{},1\n", "9".repeat(3000)).as_bytes());
    table.extend_from_slice(b"\"multi\nline\",1\n10,11");
    let quality = quality(QualityPolicy::new().complete("/a").complete("/b"));
    let mut reading = Reading::csv();
    reading.max_record_bytes = 2000;
    let (state, failures) = read(&quality, &table, &reading);
    assert_eq!(
        failures,
        [
            "2 Some(3) None it has 1 cells, and there are 2 columns",
            "3 Some(4) None it has 3 cells, and there are 2 columns",
            "4 Some(5) None it is not UTF-8",
            "5 Some(6) None it has a quote that is never closed",
            "39996 Some(39997) None it is longer than 2000 bytes",
        ]
    );
    let summary = quality.summary(&state).unwrap();
    assert_eq!((summary.records, summary.unreadable), (39_998, 5));
    assert_eq!(shown(&summary, "completeness:/a"), "39993 of 39998");
}

#[test]
fn json_lines_that_are_none_are_told_with_their_line() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let lines = format!("{{\"a\": 1}}\n\n  \r\n{{\"a\":\n[1]\n{{\"a\": {deep}}}\n{{\"a\": 2}}");
    let quality = quality(QualityPolicy::new().complete("/a"));
    let (state, failures) = read(&quality, lines.as_bytes(), &Reading::json_lines());
    assert_eq!(failures[..2], ["2 Some(4) None it is not JSON", "3 Some(5) None it is no JSON object"]);
    assert!(
        failures[2].starts_with("4 Some(6) None judge a document nested more than 100 deep"),
        "{failures:?}"
    );
    let summary = quality.summary(&state).unwrap();
    assert_eq!((summary.records, summary.unreadable), (5, 3));
    assert_eq!(shown(&summary, "completeness:/a"), "2 of 5");
}

#[test]
fn a_column_that_is_not_there_is_missing_in_every_row() {
    let quality = quality(QualityPolicy::new().complete("/b").unique("key", ["/a", "/b"]));
    let (state, failures) = read(&quality, b"a,c\n1,2\n3,4\n", &Reading::csv());
    let summary = quality.summary(&state).unwrap();
    assert_eq!(shown(&summary, "completeness:/b"), "0 of 2");
    assert_eq!(shown(&summary, "uniqueness:key"), "0 of 0");
    assert_eq!(failures.len(), 2);
}

#[test]
fn a_table_without_usable_names_is_refused() {
    let quality = quality(QualityPolicy::new().profile_all([], 0));
    let csv = Reading::csv();
    let (kind, error) = refused(&quality, &b""[..], &csv);
    assert_eq!((kind, error.contains("the input is empty")), (ErrorKind::Invalid, true));
    assert!(refused(&quality, &b"\n\r\n"[..], &csv).1.contains("blank lines only"));
    assert!(refused(&quality, &b"a,b,a\n"[..], &csv).1.contains("two columns are called \"a\""));
    assert!(refused(&quality, &b"a,\"b\n"[..], &csv).1.contains("never closed"));
    assert!(refused(&quality, &b"a,\xff\n"[..], &csv).1.contains("not UTF-8"));
    let (kind, error) = refused(&quality, ",".repeat(1_000_000).as_bytes(), &csv);
    assert_eq!((kind, error.contains("raise max_fields")), (ErrorKind::Exhausted, true), "{error}");
    let endless = std::io::repeat(b'x').take(64 << 20);
    assert!(refused(&quality, endless, &csv).1.contains("longer than 1048576 bytes"));
    assert_eq!(refused(&quality, Broken, &csv).0, ErrorKind::Unavailable);
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the disk is gone"))
    }
}

/// A find of the fuzz target `quality_csv`.
#[test]
fn names_that_no_line_end_follows_are_a_table_without_rows() {
    let quality = quality(QualityPolicy::new().complete("/a"));
    for text in ["a", "a,b", "\"a\"", "a\n", "a\r\n"] {
        let (state, failures) = read(&quality, text.as_bytes(), &Reading::csv());
        assert_eq!((state.records(), failures.len()), (0, 0), "{text:?}");
    }
}

#[test]
fn a_line_of_a_gibibyte_is_one_unreadable_record() {
    let quality = quality(QualityPolicy::new().complete("/a"));
    let long = std::io::repeat(b'x').take(1 << 30);
    let input = (&b"a\n1\n"[..]).chain(long).chain(&b"\n2\n"[..]);
    let state = quality.read(input, &Reading::csv(), &mut Unlisted).unwrap();
    assert_eq!(shown(&quality.summary(&state).unwrap(), "completeness:/a"), "2 of 3");
}

#[test]
fn quotes_that_never_close_are_read_in_time_that_grows_with_the_input_alone() {
    // From outside quotes and from within, each line ends within them.
    let line = "\"a\" b\" c,\"\n";
    let input = format!("a,b\n{}", line.repeat(400_000));
    let quality = quality(QualityPolicy::new().complete("/a"));
    let mut reading = Reading::csv();
    reading.max_record_bytes = 100_000;
    let state = quality.read(input.as_bytes(), &reading, &mut Unlisted).unwrap();
    assert_eq!(state.records(), 400_000);
}

#[test]
fn names_may_be_given_and_cells_delimited_otherwise() {
    let mut csv = Csv::delimited_by(b'\t');
    csv.columns = Some(vec!["a".to_owned(), "b".to_owned()]);
    let quality = quality(QualityPolicy::new().complete("/b"));
    let (state, _) = read(&quality, b"1\t2\n3\t\n", &Reading::new(RecordFormat::Csv(csv)));
    assert_eq!(shown(&quality.summary(&state).unwrap(), "completeness:/b"), "1 of 2");
}

#[test]
fn a_contract_and_rules_see_a_row_as_an_object_without_its_nulls() {
    let contract = Contract::builder().rule(Rule::required("both", "/b")).build().unwrap();
    let policy = QualityPolicy::new()
        .consistent(Rule::compare("text", "/c", Operator::Less, "/d"))
        .consistent(Rule::compare("number", "/a", Operator::Less, "/b"));
    let quality = quality(policy).contract(contract);
    let (state, failures) = read(&quality, b"a,b,c,d\n1,2.5,x,y\n3,,y,x\n4,3,NA,x\n", &Reading::csv());
    let summary = quality.summary(&state).unwrap();
    assert_eq!(shown(&summary, "validity:contract"), "2 of 3");
    assert_eq!(shown(&summary, "consistency:text"), "1 of 2");
    assert_eq!(shown(&summary, "consistency:number"), "1 of 2");
    assert_eq!(
        failures,
        [
            "2 Some(3) None consistency:text",
            "2 Some(3) None validity:contract",
            "3 Some(4) None consistency:number"
        ]
    );
}

#[test]
fn any_number_of_workers_counts_the_same_and_tells_the_same_in_order() {
    let mut table = "id,kind,amount\n".to_owned();
    for n in 0..60_000_u32 {
        let amount = if n.is_multiple_of(97) { "x".to_owned() } else { format!("{}.{}", n % 1000, n % 7) };
        table.push_str(&format!("id-{n},{},{amount}\n", n % 13));
        if n.is_multiple_of(5000) {
            table.push_str("broken\n");
        }
    }
    let mut policy = QualityPolicy::new()
        .typed("/amount", FieldType::Number)
        .unique("id", ["/id"])
        .profile_all([0.1, 0.9], 3)
        .max_values(100_000);
    policy.id = Some("/id".to_owned());
    let quality = quality(policy);
    let (one, told_one) = read(&quality, table.as_bytes(), &Reading::csv());
    assert_eq!(told_one.len(), 619 + 12);
    for workers in [2, 5] {
        let reading = Reading::csv().workers(NonZeroUsize::new(workers).unwrap());
        let (state, told) = read(&quality, table.as_bytes(), &reading);
        assert!(state == one && told == told_one, "{workers}");
    }
    let summary = quality.summary(&one).unwrap();
    assert_eq!(shown(&summary, "uniqueness:id"), "60000 of 60000");
    assert_eq!(shown(&summary, "consistency:/amount"), "59381 of 60000");
}

#[test]
fn rows_and_records_of_one_pass_are_the_same_to_it() {
    let quality = quality(QualityPolicy::new().complete("/a").unique("a", ["/a"]).profile_all([], 0));
    let mut pass = quality.pass().unwrap();
    let header = pass.header(["a", "b"]).unwrap();
    pass.row(&header, &["1", "x"], &mut Unlisted).unwrap();
    pass.row(&header, &["", "x"], &mut Unlisted).unwrap();
    pass.row(&header, &["1"], &mut Unlisted).unwrap();
    pass.record(&json!({"a": 1.0, "b": "x"}).into(), &mut Unlisted).unwrap();
    let summary = quality.summary(&pass.finish()).unwrap();
    assert_eq!((summary.records, summary.unreadable), (4, 1));
    assert_eq!(shown(&summary, "completeness:/a"), "2 of 4");
    assert_eq!(shown(&summary, "uniqueness:a"), "0 of 2");
    assert_eq!(summary.field("/b").unwrap().distinct.value, 1.0);
}

#[test]
fn a_sink_that_fails_ends_the_run_with_its_error() {
    let quality = quality(QualityPolicy::new().complete("/b"));
    let table = format!("a\n{}", "1\n".repeat(500_000));
    for workers in [1, 3] {
        let mut told = 0;
        let mut sink = |_: &Failure<'_>| {
            told += 1;
            if told == 10 {
                Err(SeamError::new(ErrorKind::Unavailable, "write to a full disk"))
            } else {
                Ok(())
            }
        };
        let reading = Reading::csv().workers(NonZeroUsize::new(workers).unwrap());
        match quality.read(table.as_bytes(), &reading, &mut sink) {
            Err(ValidationError::NotTaken { source }) => {
                assert_eq!(source.to_string(), "write to a full disk")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(told, 10);
    }
}

#[test]
fn more_members_than_are_looked_at_leave_those_that_come_first_by_name() {
    let mut policy = QualityPolicy::new().complete("/z").profile_all([], 0);
    policy.max_fields = 3;
    let quality = quality(policy);
    let (state, _) =
        read(&quality, b"{\"d\":1,\"c\":1,\"z\":1}\n{\"a\":1,\"b\":1,\"c\":1}\n", &Reading::json_lines());
    let summary = quality.summary(&state).unwrap();
    let fields: Vec<&str> = summary.fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!((fields, summary.fields_left_out), (vec!["/a", "/b", "/z"], true));
}

#[test]
fn numbers_that_are_none_are_of_the_wrong_type() {
    let quality = quality(QualityPolicy::new().typed("/a", FieldType::Number).profile_all([], 0));
    let table = b"a,b\n1e999,x\ninf,x\n-nan,x\n1e308,x\n1e308,x\n99999999999999999999,x\nNaN,x\n";
    let (state, _) = read(&quality, table, &Reading::csv());
    let summary = quality.summary(&state).unwrap();
    assert_eq!(shown(&summary, "consistency:/a"), "3 of 6", "NaN is null");
    let numbers = summary.field("/a").unwrap().numbers.clone().unwrap();
    assert_eq!((numbers.count, numbers.sum, numbers.mean), (3, None, None), "beyond the largest float");
    assert_eq!(numbers.max.as_f64(), Some(1e308));
}
