use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Error, MAX_FILE, Place};

/// The options of a section.
pub(crate) type Section = BTreeMap<String, Value>;

/// What an option is set to, and where.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// One file, as it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ini {
    pub(crate) defaults: Section,
    pub(crate) sections: BTreeMap<String, Section>,
}

impl Ini {
    /// Reads like `ConfigParser(inline_comment_prefixes=";")` of Python 3.11.
    pub(crate) fn parse(file: &Arc<PathBuf>, text: &str) -> Result<Self, Error> {
        let whole = Place { file: Arc::clone(file), line: 0 };
        if text.len() > MAX_FILE {
            return Err(Error::new(format!("is larger than {MAX_FILE} bytes")).at(&whole));
        }
        let mut reader = Reader { ini: Self::default(), section: None, option: None, indent: 0 };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.split('\n').enumerate() {
            let place = Place { file: Arc::clone(file), line: number + 1 };
            reader.line(line.trim_end_matches('\r'), place)?;
        }
        reader.finish();
        Ok(reader.ini)
    }
}

/// Where the reader is.
struct Reader {
    ini: Ini,
    section: Option<String>,
    /// The option that a line may continue.
    option: Option<(String, Value)>,
    /// How far the option's line is indented.
    indent: usize,
}

impl Reader {
    fn line(&mut self, line: &str, place: Place) -> Result<(), Error> {
        let (line, commented) = without_comment(line);
        let text = line.trim();
        if text.is_empty() {
            // A comment is nothing, an empty line is part of the value.
            if let (false, Some((_, value))) = (commented, &mut self.option) {
                value.text.push('\n');
            }
            return Ok(());
        }
        let indent = line.len() - line.trim_start().len();
        if indent > self.indent
            && let Some((_, value)) = &mut self.option
        {
            value.text.push('\n');
            value.text.push_str(text);
            return Ok(());
        }
        self.indent = indent;
        match text.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            Some((name, _)) if !name.is_empty() => self.header(name, &place),
            _ => self.assignment(text, place),
        }
    }

    fn header(&mut self, name: &str, place: &Place) -> Result<(), Error> {
        self.finish();
        if name != "DEFAULT" {
            if self.ini.sections.contains_key(name) {
                return Err(Error::new(format!("section `{name}` is there already")).at(place));
            }
            self.ini.sections.insert(name.to_owned(), Section::new());
        }
        self.section = Some(name.to_owned());
        Ok(())
    }

    fn assignment(&mut self, text: &str, place: Place) -> Result<(), Error> {
        self.finish();
        if self.section.is_none() {
            return Err(Error::new("no section begins before this line")
                .at(&place)
                .help("write `[Definition]` above it"));
        }
        let Some((name, value)) = text.split_once(['=', ':']).filter(|(name, _)| !name.trim().is_empty())
        else {
            return Err(Error::new("this is neither a section nor `option = value`").at(&place));
        };
        let name = name.trim().to_lowercase();
        if self.current().is_some_and(|section| section.contains_key(&name)) {
            return Err(Error::new(format!("option `{name}` is set twice in one section")).at(&place));
        }
        self.option = Some((name, Value { text: value.trim().to_owned(), place }));
        Ok(())
    }

    fn current(&mut self) -> Option<&mut Section> {
        match self.section.as_deref()? {
            "DEFAULT" => Some(&mut self.ini.defaults),
            name => self.ini.sections.get_mut(name),
        }
    }

    /// Nothing continues the option any more.
    fn finish(&mut self) {
        let Some((name, mut value)) = self.option.take() else { return };
        value.text.truncate(value.text.trim_end().len());
        if let Some(section) = self.current() {
            section.insert(name, value);
        }
    }
}

/// The line before its comment, and whether it has one: all of a line that begins with `#` or `;`, and what follows a `;` after
/// a space.
fn without_comment(line: &str) -> (&str, bool) {
    if line.trim_start().starts_with(['#', ';']) {
        return ("", true);
    }
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        if letter == ';' && before.is_whitespace() {
            return (line.get(..at).unwrap_or(line), true);
        }
        before = letter;
    }
    (line, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Ini, Error> {
        Ini::parse(&Arc::new(PathBuf::from("a.conf")), text)
    }

    #[test]
    fn values_go_on_where_lines_are_indented() {
        let ini = parse(
            "# hello\n[DEFAULT]\nA = 1\n[Definition]\nfailregex = ^one; not a comment ; a comment\n            ^two = 2\n# in between\n\n   three: 3 \nb: x=y\nempty =\n",
        )
        .unwrap();
        assert_eq!(ini.defaults["a"].text, "1");
        let definition = &ini.sections["Definition"];
        assert_eq!(definition["failregex"].text, "^one; not a comment\n^two = 2\n\nthree: 3");
        assert_eq!(definition["failregex"].place.line, 5);
        assert_eq!(definition["b"].text, "x=y");
        assert_eq!(definition["empty"].text, "");
    }

    #[test]
    fn what_python_refuses_is_refused_with_its_line() {
        for (text, said) in [
            ("a = 1", "a.conf:1: no section begins before this line"),
            ("[A]\nnothing", "a.conf:2: this is neither a section nor `option = value`"),
            ("[A]\na = 1\nA = 2", "a.conf:3: option `a` is set twice in one section"),
            ("[A]\n[A]", "a.conf:2: section `A` is there already"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), said);
        }
    }
}
