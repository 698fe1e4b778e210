//! Streams of documents that an engine judges.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::Stream;
use mcp_core::{ErrorKind, Name, SeamError, Version};

use super::{Entry, ValidationEngine};
use crate::stream::{Judgements, Outcome, StreamSettings};
use crate::{Document, ValidationError};

impl ValidationEngine {
    /// Judges a stream of documents by one version of a subject's contracts, on the [threads](crate::ValidationEngineBuilder::workers) that
    /// all streams of this engine share, and gives a stream of what became of each. What comes with a document, such as its place in the
    /// input, comes out with its outcome. No runtime is needed; documents are taken and judged as long as somebody polls.
    ///
    /// A validator that panics is an `Internal` error of the one document; the others go on.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use futures::{StreamExt, executor::block_on, stream};
    /// use mcp_validation::{Contract, Document, Rule, StreamSettings, ValidationEngine};
    ///
    /// let engine = Arc::new(ValidationEngine::builder().build()?);
    /// let (subject, version) = ("invoice".parse()?, "1.0.0".parse()?);
    /// engine.register(&subject, &version, Contract::builder().rule(Rule::required("has-id", "/id")).build()?)?;
    /// let documents = stream::iter([r#"{"id": 1}"#, "{}"]).map(Document::json).enumerate();
    /// let outcomes = engine.validate_stream(&subject, &version, documents, StreamSettings::default())?;
    /// let invalid = outcomes.filter_map(|(place, outcome)| async move { (!outcome.ok()?.valid).then_some(place) });
    /// assert_eq!(block_on(invalid.collect::<Vec<usize>>()), [1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ValidationError::UnknownSubject`] and [`ValidationError::UnknownVersion`], `NotFound`; [`ValidationError::BrokenLimits`],
    /// `Invalid`, for settings of 0. Of each document, as [`validate`](Self::validate); `Unavailable` when the operating system gives no
    /// thread.
    ///
    /// # Cancel safety
    /// As [`Judgements`] says.
    pub fn validate_stream<S, T>(
        self: &Arc<Self>,
        subject: &Name,
        version: &Version,
        documents: S,
        settings: StreamSettings,
    ) -> Result<Judgements<S, T>, ValidationError>
    where
        S: Stream<Item = (T, Document)>,
        T: Send + 'static,
    {
        let entry = self.entry(subject, version)?;
        let engine = Arc::clone(self);
        let judge = Box::new(move |document: &Document| engine.judge_caught(&entry, document));
        Judgements::new(documents, settings, Arc::clone(&self.workers), judge)
    }

    fn judge_caught(&self, entry: &Entry, document: &Document) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.judge(entry, document))).unwrap_or_else(|_| {
            let context = "judge a document of a stream: a validator, or whoever hears events, panicked";
            let outcome =
                Err(ValidationError::NotJudged { source: SeamError::new(ErrorKind::Internal, context) });
            self.counters.outcome(&outcome);
            outcome
        })
    }
}
