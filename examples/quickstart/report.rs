//! The page that shows what happened: one file, with everything inside.

mod bars;
mod chart;
mod html;
mod phases;

use mcp_core::Timestamp;

pub use bars::Bar;
pub use chart::{Evidence, Observation};
pub use phases::{Phase, Way};

use html::Html;

/// How something is meant, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// Somebody or something is waited for.
    Wait,
    /// It is being changed or looked at.
    Move,
    /// Worth knowing, no more.
    Quiet,
}

impl Tone {
    /// The name that the style sheet gives it.
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Wait => "wait",
            Self::Move => "move",
            Self::Quiet => "quiet",
        }
    }
}

/// Everything that the page shows.
#[derive(Debug)]
pub struct Page {
    /// When it was made.
    pub made_at: Timestamp,
    /// One paragraph that says what came of it all.
    pub summary: String,
    /// The figures at the top: label and value.
    pub tiles: Vec<(String, String)>,
    /// The stages, in the order of the pipeline.
    pub stages: Vec<StageCard>,
    /// The way of each promotion.
    pub ways: Vec<Way>,
    /// What the judge saw, for each promotion that it judged.
    pub evidence: Vec<Evidence>,
    /// Groups of shares: a heading and its bars.
    pub quality: Vec<(String, Vec<Bar>)>,
    /// The most frequent findings: code, message, and how many manifests have it.
    pub findings: Vec<(String, String, u64)>,
    /// Everything that the journal tells, in order.
    pub timeline: Vec<Moment>,
}

/// One stage, and what runs there by its own answers.
#[derive(Clone, Debug)]
pub struct StageCard {
    /// What it is called.
    pub name: String,
    /// What must hold before and after a release goes in.
    pub policy: String,
    /// What all servers, or the first of them, run.
    pub runs: String,
    /// Each server's name, and what it said over HTTP.
    pub servers: Vec<(String, String)>,
}

/// One entry of the journal.
#[derive(Debug)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// In which stage, and for which version where it is about one.
    pub place: String,
    /// What happened.
    pub what: String,
    /// How it is meant.
    pub tone: Tone,
}

impl Moment {
    /// Hours to milliseconds.
    pub fn time_of_day(&self) -> String {
        self.at.to_string().get(11..23).unwrap_or_default().to_owned()
    }
}

impl Page {
    /// The page as HTML. All text is escaped: much of it comes from archives that strangers wrote.
    pub fn html(&self) -> String {
        let mut page = Html::default();
        page.raw("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        // Nothing is loaded from anywhere, whatever an archive may have smuggled in.
        page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n");
        page.raw("<link rel=\"icon\" href=\"data:,\">\n<title>Quickstart report</title>\n<style>\n");
        page.raw(include_str!("report/page.css")).raw("</style>\n");
        page.element("h1", "Validate, register, promote: what happened");
        page.raw("<p class=\"soft\">Made ").text(&self.made_at.to_string()).raw("</p>\n");
        page.element("p", &self.summary);
        self.tiles(&mut page);
        self.pipeline(&mut page);
        page.raw("<h2>What the judge saw</h2>\n<div class=\"two\">\n");
        self.evidence.iter().for_each(|evidence| evidence.write(&mut page));
        page.raw("</div>\n<h2>The way of each promotion</h2>\n");
        phases::write(&self.ways, &mut page);
        self.quality(&mut page);
        self.timeline(&mut page);
        page.raw("</html>\n").finish()
    }

    fn tiles(&self, page: &mut Html) {
        page.raw("<div class=\"tiles\">\n");
        for (label, value) in &self.tiles {
            page.raw("<div class=\"tile\"><b>").text(value).raw("</b><span class=\"soft\">");
            page.text(label).raw("</span></div>\n");
        }
        page.raw("</div>\n");
    }

    fn pipeline(&self, page: &mut Html) {
        page.raw("<h2>The pipeline, and what runs where</h2>\n<ul class=\"pipeline\">\n");
        for stage in &self.stages {
            page.raw("<li class=\"card\">").element("h3", &stage.name);
            page.raw("<div class=\"runs\">").text(&stage.runs).raw("</div>\n<div class=\"soft\">");
            page.text(&stage.policy).raw("</div>\n<ul class=\"plain\">");
            for (name, answer) in &stage.servers {
                page.raw("<li><code>").text(name).raw("</code> ").text(answer).raw("</li>");
            }
            page.raw("</ul></li>\n");
        }
        page.raw("</ul>\n<p class=\"soft\">Each server was asked over HTTP at the end of the run.</p>\n");
    }

    fn quality(&self, page: &mut Html) {
        page.raw("<h2>Quality of the manifests</h2>\n");
        for (heading, bars) in &self.quality {
            page.raw("<div class=\"group\">").element("h3", heading);
            bars.iter().for_each(|bar| bar.write(page));
            page.raw("</div>\n");
        }
        if !self.findings.is_empty() {
            page.raw("<div class=\"group\"><h3>Most frequent findings</h3>\n<ul class=\"plain\">\n");
            for (code, message, count) in &self.findings {
                page.raw("<li><b>").text(&count.to_string()).raw("</b> × <code>").text(code).raw("</code> ");
                page.text(message).raw("</li>\n");
            }
            page.raw("</ul></div>\n");
        }
    }

    fn timeline(&self, page: &mut Html) {
        page.raw("<h2>Timeline, from the journal</h2>\n<ol class=\"log\">\n");
        for moment in &self.timeline {
            let at = moment.at.to_string();
            page.raw("<li><time datetime=\"")
                .text(&at)
                .raw("\">")
                .text(&moment.time_of_day())
                .raw("</time><span>");
            page.text(&moment.place).raw("</span><span class=\"what ").raw(moment.tone.class()).raw("\">");
            page.text(&moment.what).raw("</span></li>\n");
        }
        page.raw("</ol>\n");
    }
}
