use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Name, Version};
use serde::Deserialize;

use super::terms::{NONE, Numbered, Terms, number};
use super::words::{folded, words};
use crate::catalog::FeedRow;
use crate::feed::{ChannelBody, LabelsBody, RowKind};

/// So many words of a description count, and of all tags, and of all authors.
pub(super) const MAX_FIELD_WORDS: usize = 1024;
/// How many of a name's texts are compared with a new one, so that equal texts are kept once.
const COMPARED: usize = 64;

/// Stand between words: from here on tags, authors, or another one of them. A phrase does not go across.
pub(super) const TAGS: u32 = NONE - 1;
pub(super) const AUTHORS: u32 = NONE - 2;
pub(super) const NEXT: u32 = NONE - 3;

/// All that is searched, in memory: made from the change feed alone, row by row.
///
/// What was once so stays known: so it can tell what was found at any earlier position of the feed, and pages go on from there.
/// Everything is numbered, and lies in few large lists; a number is the place in its list.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Of the last row that it follows.
    pub(super) position: u64,
    pub(super) documents: Vec<Document>,
    pub(super) terms: Terms,
    /// Media types, tags, authors, labels, channels.
    pub(super) values: Numbered<Arc<str>>,
    pub(super) versions: Numbered<Version>,
    pub(super) publishes: Vec<Publish>,
    pub(super) texts: Vec<Text>,
    names: Numbered<Arc<str>>,
    /// All names, in the order of their numbers.
    name_text: String,
    words: Vec<u32>,
    facts: Vec<u32>,
}

/// One name. Its number is that of its text in `names`, and its place among the documents.
#[derive(Debug)]
pub(super) struct Document {
    name: Span,
    words: Span,
    /// Those of its head, so that ranking looks nowhere else.
    head_words: Span,
    /// Its last publish, from which the others can be reached.
    last: u32,
    /// Its last text, likewise.
    text: u32,
    /// Its highest live release, or else its highest live pre-release.
    head: u32,
    /// When its last live version was published.
    newest: i64,
    /// The last row that changed any of it.
    changed: u64,
    /// What few names have.
    moves: Option<Box<Moves>>,
}

#[derive(Debug, Default)]
struct Moves {
    /// Position, publish, and whether it was yanked there.
    yanks: Vec<(u64, u32, bool)>,
    /// Position, channel, and the publish to which it was moved there; `NONE`: removed.
    channels: Vec<(u64, u32, u32)>,
    /// Position, publish, and the numbers of its labels from there on.
    labels: Vec<(u64, u32, Vec<u32>)>,
}

/// One version.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) seq: u64,
    /// Microseconds.
    pub(super) at: i64,
    pub(super) version: u32,
    pub(super) text: u32,
    before: u32,
    /// Now.
    yanked: bool,
}

/// What was said of one version, or of several of one name.
#[derive(Debug)]
pub(super) struct Text {
    hash: u64,
    words: Span,
    /// Numbers of values: the media type, the counts of tags and authors, the tags, the authors, the labels.
    facts: Span,
    before: u32,
}

/// What is said of a version, as numbers of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) media_type: u32,
    pub(super) tags: &'a [u32],
    pub(super) authors: &'a [u32],
    /// As they were when it was published.
    labels: &'a [u32],
}

impl Default for Facts<'_> {
    fn default() -> Self {
        Self { media_type: NONE, tags: &[], authors: &[], labels: &[] }
    }
}

/// A part of a long list.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    const EMPTY: Self = Self { start: 0, length: 0 };

    fn of(self, list: &[u32]) -> &[u32] {
        list.get(self.start as usize..).and_then(|rest| rest.get(..self.length as usize)).unwrap_or_default()
    }

    fn push(list: &mut Vec<u32>, part: &[u32]) -> Self {
        let start = number(list.len());
        list.extend_from_slice(part);
        Self { start, length: number(part.len()) }
    }
}

/// What is searched of metadata.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said<'a> {
    #[serde(borrow)]
    description: Cow<'a, str>,
    tags: Vec<Cow<'a, str>>,
    authors: Vec<Cow<'a, str>>,
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// A label as one value.
pub(super) fn label(key: &str, value: &str) -> String {
    format!("{key}\0{value}")
}

impl Index {
    /// Takes a row of the change feed in. One that makes no sense is passed over: verify reports it.
    pub(super) fn apply(&mut self, row: &FeedRow) {
        // `None`: no change that is searched, or one that cannot be read.
        let _: Option<()> = match RowKind::from_number(row.kind) {
            Some(RowKind::Published) => self.publish(row),
            Some(RowKind::Yanked) => self.yank(row, true),
            Some(RowKind::Unyanked) => self.yank(row, false),
            Some(RowKind::ChannelMoved | RowKind::ChannelRemoved) => self.move_channel(row),
            Some(RowKind::LabelsChanged) => self.relabel(row),
            _ => None,
        };
        self.position = self.position.max(row.seq);
    }

    fn publish(&mut self, row: &FeedRow) -> Option<()> {
        let version: Version = row.version.as_ref()?.parse().ok()?;
        let name = row.name.as_deref()?;
        let document = match self.names.find(name) {
            Some(document) => document,
            None => {
                let name: Name = name.parse().ok()?;
                self.add_name(name.as_str())
            }
        };
        let text = self.text(document, row.media_type.as_deref()?, &row.body)?;
        let version = self.versions.find(&version).unwrap_or_else(|| self.versions.add(version));
        let publish = number(self.publishes.len());
        let known = self.documents.get_mut(document as usize)?;
        let before = std::mem::replace(&mut known.last, publish);
        known.changed = row.seq;
        known.newest = known.newest.max(row.at);
        let head = known.head;
        self.publishes.push(Publish { seq: row.seq, at: row.at, version, text, before, yanked: false });
        let higher = self.is_higher(publish, head);
        if higher {
            self.set_head(document, publish);
        }
        Some(())
    }

    fn add_name(&mut self, name: &str) -> u32 {
        let document = self.names.add(name.into());
        let numbers: Vec<u32> = words(name).map(|word| self.terms.note(word, document)).collect();
        let span = Span { start: number(self.name_text.len()), length: number(name.len()) };
        self.name_text.push_str(name);
        self.documents.push(Document {
            name: span,
            words: Span::push(&mut self.words, &numbers),
            head_words: Span::EMPTY,
            last: NONE,
            text: NONE,
            head: NONE,
            newest: i64::MIN,
            changed: 0,
            moves: None,
        });
        document
    }

    /// The text of a publish: one that the name has already, or a new one.
    fn text(&mut self, document: u32, media_type: &str, body: &str) -> Option<u32> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(media_type.as_bytes()).update(b"\0").update(body.as_bytes());
        let hash = hasher.finalize().as_bytes().first_chunk().map(|first| u64::from_le_bytes(*first))?;
        let last = self.documents.get(document as usize)?.text;
        let known = self.texts_from(last).take(COMPARED).find(|(_, text)| text.hash == hash);
        if let Some((text, _)) = known {
            return Some(text);
        }
        let said: Said<'_> = serde_json::from_str(body).ok()?;
        let words = self.number_words(&said, document);
        let mut distinct = |values: &[Cow<'_, str>]| {
            let mut numbers: Vec<u32> = Vec::with_capacity(values.len());
            for value in values {
                let value = self.values.number(&**value);
                if !numbers.contains(&value) {
                    numbers.push(value);
                }
            }
            numbers
        };
        let (tags, authors) = (distinct(&said.tags), distinct(&said.authors));
        let labels = said.labels.iter().map(|(key, value)| self.values.number(&*label(key, value)));
        let labels: Vec<u32> = labels.collect();
        let counts = [self.values.number(media_type), number(tags.len()), number(authors.len())];
        let facts = [&counts[..], &tags, &authors, &labels].concat();
        // The rest of the metadata, such as a build's number, is often all that differs.
        let same = |text: &Text| text.words.of(&self.words) == words && text.facts.of(&self.facts) == facts;
        let known = self.texts_from(last).take(COMPARED).find(|(_, text)| same(text)).map(|(text, _)| text);
        if known.is_some() {
            return known;
        }
        let text = number(self.texts.len());
        let (words, facts) = (Span::push(&mut self.words, &words), Span::push(&mut self.facts, &facts));
        self.texts.push(Text { hash, words, facts, before: last });
        self.documents.get_mut(document as usize)?.text = text;
        Some(text)
    }

    fn number_words(&mut self, said: &Said<'_>, document: u32) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut add = |numbers: &mut Vec<u32>, text: &str, room: usize| {
            let folded = folded(text);
            let before = numbers.len();
            numbers.extend(words(&folded).take(room).map(|word| self.terms.note(word, document)));
            room.saturating_sub(numbers.len() - before)
        };
        add(&mut numbers, &said.description, MAX_FIELD_WORDS);
        for (field, parts) in [(TAGS, &said.tags), (AUTHORS, &said.authors)] {
            let mut room = MAX_FIELD_WORDS;
            for (place, part) in parts.iter().enumerate() {
                if room == 0 {
                    break;
                }
                numbers.push(if place == 0 { field } else { NEXT });
                room = add(&mut numbers, part, room - 1);
            }
        }
        numbers
    }

    fn yank(&mut self, row: &FeedRow, yanked: bool) -> Option<()> {
        let version: Version = row.version.as_ref()?.parse().ok()?;
        let place = self.names.find(row.name.as_deref()?)?;
        let version = self.versions.find(&version)?;
        let document = self.documents.get(place as usize)?;
        let (publish, _) = self.publishes_of(document).find(|(_, publish)| publish.version == version)?;
        self.publishes.get_mut(publish as usize)?.yanked = yanked;
        let document = self.documents.get_mut(place as usize)?;
        document.moves.get_or_insert_default().yanks.push((row.seq, publish, yanked));
        document.changed = row.seq;
        let document = self.documents.get(place as usize)?;
        let (head, newest) = self.lead(document, row.seq);
        self.documents.get_mut(place as usize)?.newest = newest;
        self.set_head(place, head);
        Some(())
    }

    fn set_head(&mut self, document: u32, head: u32) {
        let text = self.publishes.get(head as usize).map_or(NONE, |publish| publish.text);
        let head_words = self.texts.get(text as usize).map_or(Span::EMPTY, |text| text.words);
        if let Some(document) = self.documents.get_mut(document as usize) {
            (document.head, document.head_words) = (head, head_words);
        }
    }

    fn move_channel(&mut self, row: &FeedRow) -> Option<()> {
        let body: ChannelBody = serde_json::from_str(&row.body).ok()?;
        let place = self.names.find(row.name.as_deref()?)?;
        let channel = self.values.number(body.channel.as_str());
        let version = row.version.as_ref().and_then(|version| version.parse::<Version>().ok());
        let version = version.and_then(|version| self.versions.find(&version));
        let document = self.documents.get(place as usize)?;
        let publish = self.publishes_of(document).find(|(_, publish)| Some(publish.version) == version);
        let publish = publish.map_or(NONE, |(publish, _)| publish);
        let document = self.documents.get_mut(place as usize)?;
        document.moves.get_or_insert_default().channels.push((row.seq, channel, publish));
        document.changed = row.seq;
        Some(())
    }

    fn relabel(&mut self, row: &FeedRow) -> Option<()> {
        let body: LabelsBody = serde_json::from_str(&row.body).ok()?;
        let version: Version = row.version.as_ref()?.parse().ok()?;
        let place = self.names.find(row.name.as_deref()?)?;
        let version = self.versions.find(&version)?;
        let labels = body.labels.iter().map(|(key, value)| self.values.number(&*label(key, value)));
        let labels = labels.collect();
        let document = self.documents.get(place as usize)?;
        let (publish, _) = self.publishes_of(document).find(|(_, publish)| publish.version == version)?;
        let document = self.documents.get_mut(place as usize)?;
        document.moves.get_or_insert_default().labels.push((row.seq, publish, labels));
        document.changed = row.seq;
        Some(())
    }

    /// Whether the version of `a` comes before that of `b` as the one that is shown: releases first, then by precedence.
    fn is_higher(&self, a: u32, b: u32) -> bool {
        let version = |publish: u32| {
            let publish = self.publishes.get(publish as usize)?;
            self.versions.value(publish.version)
        };
        let Some(other) = version(b) else { return true };
        version(a).is_some_and(|version| {
            let rank = |version: &Version| !version.is_pre_release();
            rank(version).cmp(&rank(other)).then_with(|| version.cmp_precedence(other)).is_gt()
        })
    }

    /// Head and newest time of `document` at the position `at`.
    fn lead(&self, document: &Document, at: u64) -> (u32, i64) {
        let mut lead = (NONE, i64::MIN);
        for (publish, entry) in self.live(document, at) {
            lead.1 = lead.1.max(entry.at);
            if self.is_higher(publish, lead.0) {
                lead.0 = publish;
            }
        }
        lead
    }

    /// The publish of the version that is shown at the position `at`, when the last one was published, and the words of what is shown;
    /// `None` when none is live.
    pub(super) fn lead_at(&self, document: &Document, at: u64) -> Option<(u32, i64, &[u32])> {
        if document.changed <= at {
            let words = document.head_words.of(&self.words);
            return (document.head != NONE).then_some((document.head, document.newest, words));
        }
        let (head, newest) = self.lead(document, at);
        let text = self.publishes.get(head as usize)?.text;
        Some((head, newest, self.texts.get(text as usize).map_or(&[], |text| text.words.of(&self.words))))
    }

    /// The versions of `document` that were published by `at` and not yanked there, the last first.
    pub(super) fn live<'a>(
        &'a self,
        document: &'a Document,
        at: u64,
    ) -> impl Iterator<Item = (u32, &'a Publish)> {
        let published = self.publishes_of(document).skip_while(move |(_, publish)| publish.seq > at);
        published.filter(move |(number, publish)| {
            if document.changed <= at {
                return !publish.yanked;
            }
            let yanks = document.moves.as_ref().map_or(&[][..], |moves| &moves.yanks);
            let last = yanks.iter().rev().find(|(seq, yanked, _)| *seq <= at && yanked == number);
            last.is_none_or(|(_, _, yanked)| !yanked)
        })
    }

    /// The publish at which `channel` of `document` is at `at`.
    pub(super) fn channel_at(&self, document: &Document, channel: u32, at: u64) -> u32 {
        let moves = document.moves.as_ref().map_or(&[][..], |moves| &moves.channels);
        let last = moves.iter().rev().find(|(seq, moved, _)| *seq <= at && *moved == channel);
        last.map_or(NONE, |(_, _, publish)| *publish)
    }

    /// The labels of a publish of `document` at `at`, as numbers of values.
    pub(super) fn labels_at<'a>(&'a self, document: &'a Document, publish: u32, at: u64) -> &'a [u32] {
        let changes = document.moves.as_ref().map_or(&[][..], |moves| &moves.labels);
        let last = changes.iter().rev().find(|(seq, changed, _)| *seq <= at && *changed == publish);
        match last {
            Some((_, _, labels)) => labels,
            None => {
                self.publishes.get(publish as usize).map_or(&[], |publish| self.facts_of(publish.text).labels)
            }
        }
    }

    pub(super) fn words_of_name(&self, document: &Document) -> &[u32] {
        document.words.of(&self.words)
    }

    pub(super) fn name(&self, document: &Document) -> &str {
        let Span { start, length } = document.name;
        self.name_text.get(start as usize..).and_then(|text| text.get(..length as usize)).unwrap_or_default()
    }

    pub(super) fn facts_of(&self, text: u32) -> Facts<'_> {
        let facts = self.texts.get(text as usize).map_or(&[][..], |text| text.facts.of(&self.facts));
        let [media_type, tags, authors, rest @ ..] = facts else { return Facts::default() };
        let (tags, rest) = rest.split_at_checked(*tags as usize).unwrap_or_default();
        let (authors, labels) = rest.split_at_checked(*authors as usize).unwrap_or_default();
        Facts { media_type: *media_type, tags, authors, labels }
    }

    /// How many words a name and its text have on average.
    pub(super) fn average_words(&self) -> f64 {
        // Both are far below 2^52.
        self.words.len() as f64 / self.texts.len().max(1) as f64
    }

    fn publishes_of(&self, document: &Document) -> impl Iterator<Item = (u32, &Publish)> {
        let entry = |number: u32| Some((number, self.publishes.get(number as usize)?));
        std::iter::successors(entry(document.last), move |(_, publish)| entry(publish.before))
    }

    fn texts_from(&self, last: u32) -> impl Iterator<Item = (u32, &Text)> {
        let entry = |number: u32| Some((number, self.texts.get(number as usize)?));
        std::iter::successors(entry(last), move |(_, text)| entry(text.before))
    }
}
