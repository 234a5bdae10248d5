//! What is wrong with a pipeline file.
//!
//! In: findings with line and column. Out: text with excerpt, caret and cure. Holds: all problems at
//! once, in the order of the file; no secret is shown. Knows nothing of: what the file means.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::secrets;

/// One problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// Characters that are marked.
    pub width: usize,
    /// What was found.
    pub message: String,
    /// How to mend it.
    pub cure: String,
    pub(super) extent: Extent,
    pub(super) lacks_section: bool,
}

/// What can't be read because of a problem: the rest can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// The field at its place.
    Field,
    /// The section that holds its place.
    Section,
    /// Nothing beyond its place can be read.
    File,
}

impl Problem {
    pub(super) fn at(line: u64, column: u64, message: impl Into<String>) -> Self {
        Self {
            line,
            column,
            width: 1,
            message: message.into(),
            cure: String::new(),
            extent: Extent::File,
            lacks_section: false,
        }
    }

    pub(super) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
        self
    }

    pub(super) const fn width(mut self, width: usize) -> Self {
        self.width = if width == 0 { 1 } else { width };
        self
    }
}

/// All problems of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems {
    file: String,
    text: String,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Self { file: file.to_owned(), text: secrets::blank(text), problems }
    }

    /// All problems as text, with excerpts.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for problem in &self.problems {
            let (start, end) = self.span(problem);
            let mut annotation = AnnotationKind::Primary.span(start..end);
            if !problem.cure.is_empty() {
                annotation = annotation.label(problem.cure.as_str());
            }
            let snippet =
                Snippet::source(self.text.as_str()).path(self.file.as_str()).annotation(annotation);
            let report = [Level::ERROR.primary_title(problem.message.as_str()).element(snippet)];
            out.push_str(&renderer.render(&report));
            out.push_str("\n\n");
        }
        let s = if self.problems.len() == 1 { "" } else { "s" };
        out.push_str(&format!("{}: {} problem{s}\n", self.file, self.problems.len()));
        out
    }

    /// The bytes that a problem marks.
    fn span(&self, problem: &Problem) -> (usize, usize) {
        let at = usize::try_from(problem.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let before: usize = self.text.split_inclusive('\n').take(at).map(str::len).sum();
        let line = self.text.get(before..).unwrap_or_default().lines().next().unwrap_or_default();
        let column = usize::try_from(problem.column.saturating_sub(1)).unwrap_or(0);
        let byte = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(at, _)| at);
        let (start, end) = (byte(column), byte(column + problem.width));
        (before + start, before + end.max(start))
    }
}
