//! The report as one page of HTML that needs nothing but itself: no script, no network, light and dark.

use mcp_validation::quality::{
    Basis, CheckScore, Comparison, FieldProfile, NumberProfile, QualitySummary, Verdict,
};

use crate::html::Html;
use crate::text::{clipped, counted, grouped, share, short};
use crate::{Measured, input};

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(measured: &Measured) -> String {
    let summary = &measured.summary;
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n")
        .raw("<title>Data quality</title>\n<style>\n")
        .raw(STYLE)
        .raw("</style>\n<h1>Data quality</h1>\n");
    for source in &measured.inputs {
        html.element("p", "soft", &input::Source::said(source)).raw("\n");
    }
    tiles(summary, &mut html);
    if !summary.checks.is_empty() {
        scores(summary, &mut html);
    }
    if let Some(comparison) = &measured.comparison {
        changes(comparison, &mut html);
    }
    if !summary.fields.is_empty() {
        html.raw("<h2>Fields</h2>\n<div class=\"cards\">\n");
        let records = summary.records.saturating_sub(summary.unreadable);
        summary.fields.iter().for_each(|one| field(one, records, &mut html));
        html.raw("</div>\n");
        if summary.fields_left_out {
            html.element("p", "soft", "Further fields were left out: the policy's max_fields were reached.");
        }
    }
    html.raw("</html>\n");
    html.finish()
}

fn tiles(summary: &QualitySummary, html: &mut Html) {
    html.raw("<div class=\"tiles\">");
    let verdict = summary.verdict.to_string();
    html.raw("<div class=\"tile\">").element("b", class(summary.verdict), &verdict).raw("verdict</div>");
    let mut tile = |value: &str, what: &str| {
        html.raw("<div class=\"tile\"><b>").text(value).raw("</b>").text(what).raw("</div>");
    };
    if summary.score.is_some() {
        tile(&share(summary.score), "score of all dimensions");
    }
    tile(&grouped(summary.records), "records");
    tile(&grouped(summary.unreadable), "of them unreadable");
    if !summary.fields.is_empty() {
        tile(&grouped(summary.fields.len() as u64), "fields with figures");
    }
    html.raw("</div>\n");
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Unknown => "unknown",
        Verdict::Fail => "fail",
    }
}

fn scores(summary: &QualitySummary, html: &mut Html) {
    html.raw("<h2>Scores</h2>\n<div class=\"wide\"><table>\n<tr><th>check</th><th class=\"chart\"></th>")
        .raw("<th class=\"number\">share</th><th class=\"number\">of records</th><th>verdict</th></tr>\n");
    for dimension in &summary.dimensions {
        score_row("whole", dimension.dimension.as_str(), dimension.score, "", dimension.verdict, html);
        for check in summary.checks.iter().filter(|check| check.dimension == dimension.dimension) {
            let name = check.target.split_once(':').map_or(check.target.as_str(), |(_, name)| name);
            let basis = if check.basis == Basis::Reference { " (reference set)" } else { "" };
            let name = format!("{}{basis}", clipped(name));
            score_row("", &name, check.score.ratio(), &of(check), check.verdict, html);
        }
    }
    html.raw("</table></div>\n");
}

/// How many of how many, with what it may be off by and what was expected.
fn of(check: &CheckScore) -> String {
    let mut text = format!("{} of {}", grouped(check.score.numerator), grouped(check.score.denominator));
    if check.score.error > 0.0 {
        text = format!("about {text}, ± {:.2}%", check.score.error * 100.0);
    }
    if let Some(least) = check.threshold.fail.or(check.threshold.warn) {
        text.push_str(&format!(", at least {}", share(Some(least))));
    }
    text
}

fn score_row(kind: &str, name: &str, of: Option<f64>, records: &str, verdict: Verdict, html: &mut Html) {
    html.raw(&format!("<tr class=\"{kind}\"><td>")).text(name).raw("</td><td class=\"chart\">");
    html.bar(of.unwrap_or(0.0), class(verdict)).raw("</td><td class=\"number\">").text(&share(of));
    html.raw("</td><td class=\"number\">").text(records).raw("</td><td>");
    html.element("span", &format!("tag {}", class(verdict)), &verdict.to_string()).raw("</td></tr>\n");
}

fn changes(comparison: &Comparison, html: &mut Html) {
    html.raw("<h2>Changes</h2>\n");
    for breach in &comparison.breaches {
        html.element("p", "fail", &format!("Changed too much: {breach}.")).raw("\n");
    }
    html.raw("<div class=\"wide\"><table>\n<tr><th>of</th><th class=\"number\">before</th><th class=\"number\">after</th>")
        .raw("<th class=\"number\">by</th></tr>\n");
    let mut row = |name: &str, before: &str, after: &str, by: &str| {
        html.raw("<tr><td>").text(name);
        for cell in [before, after, by] {
            html.raw("</td><td class=\"number\">").text(cell);
        }
        html.raw("</td></tr>\n");
    };
    let (before, after) = comparison.records;
    row("records", &grouped(before), &grouped(after), "");
    for score in comparison.scores.iter().filter(|score| score.before != score.after) {
        let by =
            score.before.zip(score.after).map(|(before, after)| format!("{:+.2}%", (after - before) * 100.0));
        row(&score.target, &share(score.before), &share(score.after), &by.unwrap_or_default());
    }
    for field in &comparison.fields {
        let mean = |profile: &Option<FieldProfile>| profile.as_ref()?.numbers.as_ref()?.mean;
        if let (Some(before), Some(after)) = (mean(&field.before), mean(&field.after))
            && before != after
        {
            row(
                &format!("mean of {}", clipped(&field.field)),
                &short(before),
                &short(after),
                &short(after - before),
            );
        }
        for (which, values) in [("new", &field.new_values), ("missing", &field.missing_values)] {
            let values = values.as_deref().unwrap_or_default();
            if !values.is_empty() {
                let shown: Vec<String> = values.iter().take(5).map(|value| clipped(value)).collect();
                let name = format!("{which} values of {}: {}", clipped(&field.field), shown.join(", "));
                row(&name, "", &grouped(values.len() as u64), "");
            }
        }
    }
    html.raw("</table></div>\n");
}

fn field(field: &FieldProfile, records: u64, html: &mut Html) {
    html.raw("<section class=\"card\">").element("h3", "", field.field.trim_start_matches('/'));
    let types: Vec<String> =
        field.types.iter().map(|(name, count)| format!("{} {name}", grouped(*count))).collect();
    let distinct = counted(field.distinct.value, field.distinct.is_exact());
    html.element("p", "soft", &format!("{distinct} distinct: {}", types.join(", ")));
    let part = |count: u64| if records == 0 { 0.0 } else { count as f64 / records as f64 };
    html.raw("<div class=\"rows\">");
    row("null", part(field.nulls), "warn", &grouped(field.nulls), html);
    for value in &field.frequent {
        row(&clipped(&value.value), part(value.count), "data", &grouped(value.count), html);
    }
    html.raw("</div>");
    if let Some(numbers) = &field.numbers {
        box_plot(numbers, html);
    }
    if let (Some(earliest), Some(latest)) = (field.earliest, field.latest) {
        html.element("p", "soft", &format!("from {earliest} to {latest}"));
    }
    html.raw("</section>\n");
}

fn row(name: &str, part: f64, class: &str, count: &str, html: &mut Html) {
    html.raw("<span>")
        .text(name)
        .raw("</span>")
        .bar(part, class)
        .raw("<span class=\"number\">")
        .text(count)
        .raw("</span>");
}

/// Least, quarter, median, three quarters, greatest; and where the mean lies.
fn box_plot(numbers: &NumberProfile, html: &mut Html) {
    let quantile =
        |share: f64| numbers.quantiles.iter().find(|quantile| quantile.share == share).map(|one| one.value);
    let (Some(least), Some(most)) = (numbers.min.as_f64(), numbers.max.as_f64()) else { return };
    let (low, middle, high) = (quantile(0.25), quantile(0.5), quantile(0.75));
    let (from, to) = (quantile(0.05).unwrap_or(least), quantile(0.95).unwrap_or(most));
    // Between the outer quantiles, so that one outlier does not press all else into a line.
    let width = to - from;
    let x = |value: f64| {
        if width > 0.0 && width.is_finite() {
            10.0 + 280.0 * ((value - from) / width).clamp(0.0, 1.0)
        } else {
            150.0
        }
    };
    html.raw("<svg class=\"box\" viewBox=\"0 0 300 40\" role=\"img\" aria-label=\"quantiles\">");
    html.raw(&format!(
        "<line class=\"whisker\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"12\" y2=\"12\"/>",
        x(from),
        x(to)
    ));
    if let (Some(low), Some(high)) = (low, high) {
        let wide = (x(high) - x(low)).max(1.0);
        html.raw(&format!(
            "<rect class=\"body\" x=\"{:.1}\" y=\"4\" width=\"{wide:.1}\" height=\"16\" rx=\"2\"/>",
            x(low)
        ));
    }
    if let Some(middle) = middle {
        html.raw(&format!(
            "<line class=\"middle\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"3\" y2=\"21\"/>",
            x(middle)
        ));
    }
    html.raw("<text x=\"0\" y=\"36\">").text(&short(from)).raw("</text>");
    html.raw("<text x=\"150\" y=\"36\" text-anchor=\"middle\">").text(&middle.map(short).unwrap_or_default());
    html.raw("</text><text x=\"300\" y=\"36\" text-anchor=\"end\">").text(&short(to)).raw("</text></svg>");
    let figure = |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), short);
    let deviation = figure(numbers.standard_deviation);
    let text = format!(
        "from {} to {}; mean {}, standard deviation {deviation}, sum {}",
        short(least),
        short(most),
        figure(numbers.mean),
        figure(numbers.sum)
    );
    html.element("p", "soft", &text);
    if numbers.quantile_error > 0.0 {
        html.element(
            "p",
            "soft",
            &format!("quantiles to within {:.4}% of themselves", numbers.quantile_error * 100.0),
        );
    }
}
