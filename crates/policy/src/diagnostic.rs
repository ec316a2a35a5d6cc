//! A mistake in a policy file: where it is, what is wrong and what to do about it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, Severity,
    SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};

/// A policy file as it was read.
#[derive(Debug, Eq, PartialEq)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// `name` is what the user called the file; it appears in every message.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// A file that must be UTF-8; the mistake names the line with the first byte that is not.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Arc<Self>, Diagnostic> {
        String::from_utf8(bytes).map(|text| Self::new(name, text)).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let mut text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            // From the first bad byte on, offsets in the repaired text are of no use; show only its line.
            let end = text.char_indices().map(|(at, _)| at).find(|at| *at > good).unwrap_or(text.len());
            text.truncate(end);
            let source = Self::new(name, text);
            Diagnostic::new(&source, good..end, "a byte that is not UTF-8")
                .with_help("write it as `--hex-string \"|..|\"`, or save the file as UTF-8")
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// 1-based line of a byte offset.
    pub fn line_of(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    /// 1-based column of a byte offset, in characters.
    pub fn column_of(&self, offset: usize) -> usize {
        let head = self.text.get(..offset).unwrap_or(&self.text);
        head.chars().rev().take_while(|c| *c != '\n').count() + 1
    }
}

/// One mistake (or, in [`crate::iptables::IptablesFile::warnings`], one doubtful place).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    source: Arc<Source>,
    span: Range<usize>,
    message: String,
    label: Option<String>,
    help: Option<String>,
    warning: bool,
}

/// How a [`Diagnostic`] is drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// Letters only, for files, logs and tests.
    Plain,
    /// Colours and box drawing, for a terminal.
    Terminal,
}

impl Diagnostic {
    /// `span`: bytes of the source that the carets point at.
    pub fn new(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        let end = span.end.min(source.text.len());
        let start = span.start.min(end);
        Self {
            source: Arc::clone(source),
            span: start..end,
            message: message.into(),
            label: None,
            help: None,
            warning: false,
        }
    }

    /// What the carets say.
    #[must_use]
    pub fn with_label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// What to do.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Something to look at; the policy stands all the same.
    #[must_use]
    pub fn into_warning(self) -> Self {
        Self { warning: true, ..self }
    }

    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// 1-based.
    pub fn line(&self) -> usize {
        self.source.line_of(self.span.start)
    }

    /// 1-based, in characters.
    pub fn column(&self) -> usize {
        self.source.column_of(self.span.start)
    }

    /// Bytes of the source that the carets point at.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    pub fn is_warning(&self) -> bool {
        self.warning
    }

    /// The message with the line, carets and the help; ends in a newline.
    pub fn render(&self, style: Style) -> String {
        let theme = match style {
            Style::Plain => {
                GraphicalTheme { characters: ThemeCharacters::ascii(), styles: ThemeStyles::none() }
            }
            Style::Terminal => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_context_lines(1);
        let mut out = String::new();
        let report = Report { diagnostic: self, line: OneLine(&self.source) };
        if handler.render_report(&mut out, &report).is_err() {
            return format!("{self}\n");
        }
        // The handler pads lines; files in version control should not hold that.
        let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
        format!("{}\n", lines.join("\n").trim_matches('\n'))
    }
}

/// Columns at which long messages are wrapped.
const WIDTH: usize = 110;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file(), self.line(), self.column(), self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// The shape that miette draws.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    line: OneLine<'a>,
}

/// The source, of which only the line with the mistake is shown: neighbours have their own.
struct OneLine<'a>(&'a Source);

impl SourceCode for OneLine<'_> {
    /// miette asks for the bare span (no context) to name its place, and for the span with context to draw it.
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, MietteError> {
        let source = self.0;
        let place = span.offset().min(source.text.len());
        let head = source.text.get(..place).ok_or(MietteError::OutOfBounds)?;
        let (start, column) = match before {
            0 => (place, source.column_of(place) - 1),
            _ => (head.rfind('\n').map_or(0, |at| at + 1), 0),
        };
        let rest = source.text.get(start..).ok_or(MietteError::OutOfBounds)?;
        let line = rest.split(['\r', '\n']).next().unwrap_or_default();
        let shown = SourceSpan::new(start.into(), line.len());
        let number = source.line_of(place) - 1;
        Ok(Box::new(MietteSpanContents::new_named(
            source.name.clone(),
            line.as_bytes(),
            shown,
            number,
            column,
            1,
        )))
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(if self.diagnostic.warning { Severity::Warning } else { Severity::Error })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.diagnostic.help.as_deref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.line)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.span.clone();
        let label = LabeledSpan::new(self.diagnostic.label.clone(), span.start, span.len());
        Some(Box::new(std::iter::once(label)))
    }
}

/// `did you mean …?` for the nearest of `known`, when one is near enough to be meant.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bare = wanted.trim_start_matches('-');
    let scored = known.into_iter().filter_map(|name| {
        let candidate = name.trim_start_matches('-');
        let abbreviated = bare.len() >= 3 && candidate.starts_with(bare);
        let score = if abbreviated { 0.95 } else { strsim::jaro_winkler(bare, candidate) };
        (score > NEAR).then_some((score, name))
    });
    scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

/// Jaro-Winkler similarity above which a name is offered; below, offers are noise.
const NEAR: f64 = 0.84;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_from_one() {
        let source = Source::new("a.rules", "one\ntwö three\n");
        let diagnostic = Diagnostic::new(&source, 9..14, "wrong").with_label("here").with_help("do it right");
        assert_eq!((diagnostic.line(), diagnostic.column()), (2, 5));
        assert_eq!(diagnostic.to_string(), "a.rules:2:5: wrong");
        let text = diagnostic.render(Style::Plain);
        assert!(text.contains("a.rules:2:5"), "{text}");
        assert!(
            text.contains("twö three") && text.contains("here") && text.contains("do it right"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_span_beyond_the_end_is_harmless() {
        let source = Source::new("a.rules", "one");
        assert_eq!(Diagnostic::new(&source, 90..99, "wrong").line(), 1);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_with_their_line() {
        let error = Source::from_bytes("a.rules", b"one\ntwo \xff\xfe three\n".to_vec()).unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 5));
        assert!(Source::from_bytes("a.rules", b"one".to_vec()).is_ok());
    }

    #[test]
    fn only_a_near_name_is_offered() {
        assert_eq!(nearest("--dprot", ["--sport", "--dport", "--string"]), Some("--dport"));
        assert_eq!(nearest("--dpo", ["--sport", "--dport"]), Some("--dport"));
        assert_eq!(nearest("--frobnicate", ["--sport", "--dport"]), None);
    }
}
