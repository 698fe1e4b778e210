//! Everything as text for a terminal.

use console::measure_text_width;
use mcp_validation::quality::{Comparison, FieldProfile, QualitySummary};

use crate::{Measured, plain};

/// The report.
pub fn report(measured: &Measured) -> String {
    let summary = &measured.summary;
    let mut out = format!(
        "{} records, {} of them unreadable: {}{}\n",
        grouped(summary.records),
        grouped(summary.unreadable),
        summary.verdict,
        summary.score.map(|score| format!(", score {score:.4}")).unwrap_or_default(),
    );
    scores(summary, &mut out);
    fields(summary, &mut out);
    if let Some(comparison) = &measured.comparison {
        changes(comparison, &mut out);
    }
    out.truncate(out.trim_end().len());
    out
}

fn scores(summary: &QualitySummary, out: &mut String) {
    if summary.checks.is_empty() {
        return;
    }
    let mut rows = vec![row(["CHECK", "SHARE", "", "VERDICT"])];
    for dimension in &summary.dimensions {
        rows.push(row([
            dimension.dimension.as_str(),
            &share(dimension.score),
            "",
            &dimension.verdict.to_string(),
        ]));
        for check in summary.checks.iter().filter(|check| check.dimension == dimension.dimension) {
            let mut of = check.score.to_string();
            if check.score.error > 0.0 {
                of.push_str(&format!(", give or take {:.2} %", check.score.error * 100.0));
            }
            let name = check.target.split_once(':').map_or(check.target.as_str(), |(_, name)| name);
            let basis = if check.basis == mcp_validation::quality::Basis::Reference {
                " (reference set)"
            } else {
                ""
            };
            rows.push(row([
                &format!("  {}{basis}", plain::line(name)),
                &share(check.score.ratio()),
                &of,
                &check.verdict.to_string(),
            ]));
        }
    }
    table(&rows, out);
}

fn fields(summary: &QualitySummary, out: &mut String) {
    if summary.fields.is_empty() {
        return;
    }
    let head =
        ["FIELD", "NULLS", "DISTINCT", "TYPES", "MIN", "MEAN", "MEDIAN", "MAX", "DEVIATION", "MOST FREQUENT"];
    let mut rows = vec![row(head)];
    rows.extend(summary.fields.iter().map(field));
    table(&rows, out);
    if summary.fields_left_out {
        out.push_str("further fields were left out: the policy's max_fields were reached\n");
    }
}

fn field(field: &FieldProfile) -> Vec<String> {
    let types: Vec<&str> = field.types.keys().map(String::as_str).collect();
    let numbers = field.numbers.as_ref();
    let number = |value: Option<f64>| value.map(short).unwrap_or_default();
    let day = |moment: &mcp_core::Timestamp| moment.to_string().chars().take(19).collect::<String>();
    let least = numbers.map(|numbers| numbers.min.to_string()).or_else(|| field.earliest.as_ref().map(day));
    let most = numbers.map(|numbers| numbers.max.to_string()).or_else(|| field.latest.as_ref().map(day));
    let median = numbers.and_then(|numbers| numbers.quantiles.iter().find(|quantile| quantile.share == 0.5));
    let frequent = field.frequent.iter().take(3);
    let frequent: Vec<String> =
        frequent.map(|value| format!("{} ({})", clipped(&value.value), value.count)).collect();
    vec![
        clipped(field.field.trim_start_matches('/')),
        grouped(field.nulls),
        counted(field.distinct.value, field.distinct.is_exact()),
        types.join(" "),
        least.unwrap_or_default(),
        number(numbers.and_then(|numbers| numbers.mean)),
        number(median.map(|median| median.value)),
        most.unwrap_or_default(),
        number(numbers.and_then(|numbers| numbers.standard_deviation)),
        frequent.join(", "),
    ]
}

fn changes(comparison: &Comparison, out: &mut String) {
    let mut rows = vec![row(["CHANGE", "BEFORE", "AFTER", ""])];
    let (before, after) = comparison.records;
    rows.push(row(["records", &grouped(before), &grouped(after), ""]));
    for score in comparison.scores.iter().filter(|score| score.before != score.after) {
        let by = score.before.zip(score.after).map(|(before, after)| format!("{:+.4}", after - before));
        let target = plain::line(&score.target);
        rows.push(row([&target, &share(score.before), &share(score.after), &by.unwrap_or_default()]));
    }
    for field in &comparison.fields {
        let values = [("new", &field.new_values), ("missing", &field.missing_values)];
        for (which, values) in values {
            let values = values.as_deref().unwrap_or_default();
            if !values.is_empty() {
                let shown: Vec<String> = values.iter().take(5).map(|value| clipped(value)).collect();
                let name = format!("{} values of {}", which, clipped(&field.field));
                rows.push(row([&name, "", &values.len().to_string(), &shown.join(", ")]));
            }
        }
    }
    table(&rows, out);
    for breach in &comparison.breaches {
        out.push_str(&format!("changed too much: {}\n", plain::line(breach)));
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Columns as wide as what stands in them; those that begin with a digit are numbers, and end together.
fn table(rows: &[Vec<String>], out: &mut String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    out.push('\n');
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let blank = " ".repeat(width.saturating_sub(measure_text_width(cell)));
            let number = cell.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+'));
            let number = number && !cell.contains(' ');
            line.push_str(&if number { format!("{blank}{cell}  ") } else { format!("{cell}{blank}  ") });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// A share in percent.
pub fn share(share: Option<f64>) -> String {
    // All of them, and only all of them, are 100 %.
    share.map_or_else(|| "n/a".to_owned(), |share| format!("{:.2}%", (share * 1e4).floor() / 100.0))
}

/// With a comma before every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number that may have been estimated.
pub fn counted(value: f64, exact: bool) -> String {
    let number = grouped(value.round() as u64);
    if exact { number } else { format!("~{number}") }
}

/// Six digits that count.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e15).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let decimals = if magnitude >= 1e5 {
        1
    } else if magnitude >= 100.0 {
        2
    } else {
        4
    };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The beginning of text from outside.
pub fn clipped(text: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String = plain::line(text).chars().take(MOST).collect();
    if text.chars().count() > MOST {
        shown.push('…');
    }
    shown
}
