//! When a line was written, found as fail2ban finds it.
//!
//! Its search has a memory: which form matched how often, where, and when last. It decides which form is tried first and which of two
//! dates in a line is taken, so it is kept here in the same way. What is shorter is that a line without anything like a time of
//! day is not searched by thirty expressions.

/// From parts to seconds.
mod civil;
/// The forms that are tried if a filter names none.
mod defaults;
/// The search.
mod detector;
/// `%Y` and its kin.
mod fields;
/// One form.
mod template;
/// Names of time zones.
mod zones;

pub(crate) use detector::{Detector, Seen};
use template::Template;

use crate::Error;

/// The forms that a filter's `datepattern` asks for.
#[derive(Clone, Debug)]
pub(crate) struct Forms {
    templates: Vec<Template>,
    /// All are fail2ban's own, which need a time of day, eight digits or a TAI64N label.
    default: bool,
}

impl Forms {
    /// Without a `datepattern`, or with one of several lines.
    pub(crate) fn new(pattern: Option<&str>) -> Result<Self, Error> {
        let lines: Vec<&str> =
            pattern.unwrap_or_default().split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return Ok(Self { templates: defaults::all()?, default: true });
        }
        let mut forms = Self { templates: Vec::new(), default: true };
        for line in lines {
            forms.add(line)?;
        }
        Ok(forms)
    }

    fn add(&mut self, line: &str) -> Result<(), Error> {
        let key = if line.contains('%') { line.to_owned() } else { line.to_uppercase() };
        let added = match key.as_str() {
            "{DEFAULT}" => defaults::all()?,
            "{^LN-BEG}" => defaults::all()?.into_iter().filter(|template| template.anchored).collect(),
            _ if key.contains("{DATE}") => defaults::within(line)?,
            _ => {
                self.default = false;
                vec![Template::new(line)?]
            }
        };
        for template in added {
            if !self.templates.iter().any(|other| other.name == template.name) {
                self.templates.push(template);
            }
        }
        Ok(())
    }

    /// Whether none of them can be in a line.
    fn cannot_be_in(&self, line: &str) -> bool {
        self.default && line.is_ascii() && !looks_dated(line.as_bytes())
    }
}

/// A digit, a colon and a digit; eight digits in a row; an `@` and a hexadecimal digit.
fn looks_dated(line: &[u8]) -> bool {
    let mut digits = 0_u32;
    let mut colon_after_digit = false;
    let mut at = false;
    for byte in line {
        let digit = byte.is_ascii_digit();
        if digit && (colon_after_digit || digits == 7) || at && byte.is_ascii_hexdigit() {
            return true;
        }
        colon_after_digit = *byte == b':' && digits > 0;
        at = *byte == b'@';
        digits = if digit { digits + 1 } else { 0 };
    }
    false
}

#[cfg(test)]
mod tests;
