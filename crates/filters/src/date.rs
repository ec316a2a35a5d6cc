//! When a line was written, found as fail2ban finds it.
//!
//! Its search has a memory: which form matched how often, where, and when last. It decides which form is tried first and which of two
//! dates in a line is taken, so it is kept here in the same way. What is shorter is that thirty expressions are not tried one by one: one
//! look at the line says which of them can match.

/// From parts to seconds.
mod civil;
/// When days began.
mod days;
/// The forms that are tried if a filter names none.
mod defaults;
/// The search.
mod detector;
/// `%Y` and its kin.
mod fields;
/// Which forms can be in a line.
mod screen;
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
}

impl Forms {
    /// Without a `datepattern`, or with one of several lines.
    pub(crate) fn new(pattern: Option<&str>) -> Result<Self, Error> {
        let lines: Vec<&str> =
            pattern.unwrap_or_default().split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return Ok(Self { templates: defaults::all()? });
        }
        let mut forms = Self { templates: Vec::new() };
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
            _ => vec![Template::new(line)?],
        };
        for template in added {
            if !self.templates.iter().any(|other| other.name == template.name) {
                self.templates.push(template);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
