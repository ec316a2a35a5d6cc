//! TOML items with their places; every mistake is recorded, and reading goes on.

use std::ops::Range;
use std::sync::Arc;

use toml_edit::{Array, Item, TableLike, Value};

use super::values::BadValue;
use crate::diagnostic::{Diagnostic, Source, nearest};
use crate::ruleset::Line;

/// Bytes of the source.
pub(super) type Span = Range<usize>;

/// A value and where it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// A list of values, those with mistakes left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct List<T> {
    pub(super) items: Vec<Spanned<T>>,
    pub(super) span: Span,
    /// Nothing is written between the brackets.
    pub(super) empty: bool,
}

/// The source and what is wrong with it.
#[derive(Debug)]
pub(super) struct Reader<'s> {
    source: &'s Arc<Source>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Arc<Source>) -> Self {
        Self { source, errors: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn source(&self) -> &'s Arc<Source> {
        self.source
    }

    pub(super) fn line(&self, span: &Span) -> Line {
        Line(self.source.line_of(span.start))
    }

    pub(super) fn error(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(Diagnostic::new(self.source, span.clone(), message).with_help(help));
    }

    pub(super) fn warn(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        let warning = Diagnostic::new(self.source, span.clone(), message).with_help(help);
        self.warnings.push(warning.into_warning());
    }

    /// Errors and warnings.
    pub(super) fn finish(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        (self.errors, self.warnings)
    }

    /// A value, or the mistake in it on the record.
    pub(super) fn value<T>(&mut self, span: &Span, read: Result<T, BadValue>) -> Option<Spanned<T>> {
        match read {
            Ok(value) => Some(Spanned { value, span: span.clone() }),
            Err(BadValue { message, help }) => {
                self.error(span, message, help);
                None
            }
        }
    }

    /// Records each key that is not in `known`; whether there was none.
    pub(super) fn only(&mut self, table: &dyn TableLike, what: &str, known: &[&str]) -> bool {
        let mut good = true;
        for (name, _) in table.iter() {
            if known.contains(&name) {
                continue;
            }
            good = false;
            let near = nearest(name, known.iter().copied());
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            let help = format!("{near}{what} has {}", listed(known));
            self.error(&key_span(table, name), format!("unknown key `{name}`"), help);
        }
        good
    }

    pub(super) fn table<'t>(&mut self, item: &'t Item, what: &str, shape: &str) -> Option<&'t dyn TableLike> {
        let table = item.as_table_like();
        if table.is_none() {
            self.wrong_type(item, &span_of(item), what, "a table", shape);
        }
        table
    }

    /// The text of a key, if the key is there.
    pub(super) fn text(&mut self, table: &dyn TableLike, key: &str, shape: &str) -> Option<Spanned<String>> {
        let item = table.get(key)?;
        let span = span_of(item);
        let text = item.as_str();
        if text.is_none() {
            self.wrong_type(item, &span, &format!("`{key}`"), "a text", shape);
        }
        text.map(|text| Spanned { value: text.to_owned(), span })
    }

    pub(super) fn boolean(&mut self, table: &dyn TableLike, key: &str) -> Option<Spanned<bool>> {
        let item = table.get(key)?;
        let span = span_of(item);
        let value = item.as_bool();
        if value.is_none() {
            self.wrong_type(item, &span, &format!("`{key}`"), "true or false", &format!("{key} = true"));
        }
        value.map(|value| Spanned { value, span })
    }

    pub(super) fn number(&mut self, table: &dyn TableLike, key: &str, shape: &str) -> Option<Spanned<i64>> {
        let item = table.get(key)?;
        let span = span_of(item);
        let number = item.as_integer();
        if number.is_none() {
            self.wrong_type(item, &span, &format!("`{key}`"), "a whole number", shape);
        }
        number.map(|value| Spanned { value, span })
    }

    /// The elements of a list, each read by `read`.
    pub(super) fn list<T>(
        &mut self,
        table: &dyn TableLike,
        key: &str,
        shape: &str,
        read: impl Fn(&Value) -> Result<T, BadValue>,
    ) -> Option<List<T>> {
        let item = table.get(key)?;
        let span = span_of(item);
        let Some(array) = item.as_array() else {
            self.wrong_type(item, &span, &format!("`{key}`"), "a list", shape);
            return None;
        };
        let items = array.iter().filter_map(|one| self.value(&value_span(one, array), read(one))).collect();
        Some(List { items, span, empty: array.is_empty() })
    }

    pub(super) fn wrong_type(&mut self, item: &Item, span: &Span, what: &str, wanted: &str, shape: &str) {
        let message = format!("{what} must be {wanted}, not {}", kind(item));
        self.error(span, message, format!("write it as `{shape}`"));
    }
}

/// Where the key is written.
pub(super) fn key_span(table: &dyn TableLike, name: &str) -> Span {
    let key = table.key(name).and_then(toml_edit::Key::span);
    key.unwrap_or_else(|| table.get(name).map_or(0..0, span_of))
}

pub(super) fn span_of(item: &Item) -> Span {
    item.span().unwrap_or(0..0)
}

fn value_span(value: &Value, list: &Array) -> Span {
    value.span().or_else(|| list.span()).unwrap_or(0..0)
}

/// What a value is, in words.
fn kind(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "array of tables" => "a list of tables",
        "inline table" | "table" => "a table",
        "datetime" => "a date",
        _ => "something else",
    }
}

/// `a`, `b` and `c`, in code marks.
pub(super) fn listed(names: &[&str]) -> String {
    let marked: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match marked.as_slice() {
        [] => "no keys".to_owned(),
        [one] => one.clone(),
        [many @ .., last] => format!("{} and {last}", many.join(", ")),
    }
}
