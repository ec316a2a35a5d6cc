//! What stands in the line of a section: `[name](!,template,+)`.

/// A section's line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) is_template: bool,
    /// Adds to the last section of this name, if these settings are in it.
    pub(super) adds: Option<Vec<(&'a str, &'a str)>>,
    pub(super) parents: Vec<&'a str>,
}

impl<'a> Header<'a> {
    /// # Errors
    /// What is missing.
    pub(super) fn parse(line: &'a str) -> Result<Self, &'static str> {
        let (name, rest) = line
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
            .ok_or("the section's name is not closed by `]`")?;
        let mut header = Self { name: name.trim(), ..Self::default() };
        let Some(options) = rest.trim_start().strip_prefix('(') else {
            return Ok(header);
        };
        let (options, _) = options.split_once(')').ok_or("the section's options are not closed by `)`")?;
        for option in options.split(',').map(str::trim) {
            match option.strip_prefix('+') {
                Some(filter) => header.adds = Some(filter.split('&').filter_map(condition).collect()),
                None if option == "!" => header.is_template = true,
                None if option.is_empty() => {}
                None => header.parents.push(option),
            }
        }
        Ok(header)
    }
}

/// `type=endpoint`; Asterisk takes the value as an expression, of which people use the anchors.
fn condition(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once('=')?;
    let value = value.trim();
    let value = value.strip_prefix('^').unwrap_or(value);
    Some((key.trim(), value.strip_suffix('$').unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_apart() {
        let header = Header::parse("[phone](!,base, other)").unwrap();
        assert_eq!((header.name, header.is_template, header.parents), ("phone", true, vec!["base", "other"]));
        let header = Header::parse("[1000](+type=^endpoint$)").unwrap();
        assert_eq!(header.adds, Some(vec![("type", "endpoint")]));
        assert!(Header::parse("[1000").is_err());
        assert!(Header::parse("[1000](+").is_err());
    }
}
