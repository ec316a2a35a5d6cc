use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ini::{Ini, Section, Value};
use crate::{Error, Files, MAX_FILES, MAX_OPTION, Place};

/// How deep `%(…)s` may lie within `%(…)s`, as in Python's `configparser`.
const MAX_DEPTH: usize = 10;
/// Where the values are kept that a later file replaced: `%(known/…)s`.
const KNOWN: &str = "KNOWN/";

/// What several files say together, the later over the earlier.
#[derive(Debug, Default)]
pub(crate) struct Config {
    defaults: Section,
    sections: BTreeMap<String, Section>,
}

/// Values that stand above every section: a jail's options.
pub(crate) type Given = BTreeMap<String, String>;

impl Config {
    /// Reads the files in order, each with its `.local` and with what its `[INCLUDES]` names. Files that are not there are passed over.
    pub(crate) fn read(files: &dyn Files, paths: &[PathBuf]) -> Result<Self, Error> {
        let mut reader = Reader { files, read: BTreeMap::new(), order: Vec::new() };
        reader.follow(paths, &[])?;
        let mut config = Self::default();
        for path in &reader.order {
            if let Some(Some(ini)) = reader.read.get(path) {
                config.merge(ini);
            }
        }
        Ok(config)
    }

    /// The options that a section itself has.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name)
    }

    /// The sections, without those that hold what was replaced.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str).filter(|name| !name.starts_with(KNOWN))
    }

    /// Where an option is set.
    pub(crate) fn place(&self, section: &str, option: &str) -> Option<&Place> {
        let own = self.sections.get(section).and_then(|section| section.get(option));
        own.or_else(|| self.defaults.get(option)).map(|value| &value.place)
    }

    /// An option with everything in it replaced; `None` if nothing sets it.
    pub(crate) fn option(&self, section: &str, option: &str, given: &Given) -> Result<Option<String>, Error> {
        let Some(own) = self.sections.get(section) else { return Ok(None) };
        let option = option.to_lowercase();
        let scope = Scope { config: self, section, own, given };
        let Some(raw) = scope.raw(&option) else { return Ok(None) };
        let mut done = String::new();
        let replaced = scope.replace(raw, &mut done, 0);
        let place = self.place(section, &option);
        replaced.map_err(|error| match place {
            Some(place) => error.at(place),
            None => error,
        })?;
        Ok(Some(done))
    }

    /// The same, where the name may be `section/option` or `known/option`.
    pub(crate) fn option_by_path(
        &self,
        section: &str,
        option: &str,
        given: &Given,
    ) -> Result<Option<String>, Error> {
        if let Some((of, name)) = option.split_once('/').filter(|(of, name)| is_word(of) && !name.is_empty())
        {
            let lower = of.to_lowercase();
            let known = format!("{KNOWN}{section}");
            let places = if lower == "known" { vec![known.as_str(), section] } else { vec![of] };
            for place in places {
                if let Some(found) = self.option(place, name, &Given::new())? {
                    return Ok(Some(found));
                }
            }
        }
        self.option(section, option, given)
    }

    fn merge(&mut self, ini: &Ini) {
        self.defaults.extend(ini.defaults.iter().map(|(name, value)| (name.clone(), value.clone())));
        for (name, section) in &ini.sections {
            let (name, section) = conditional(name, section);
            if let Some(old) = self.sections.get(name) {
                let old: Section = old
                    .iter()
                    .filter(|(name, _)| section.contains_key(*name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                self.sections.entry(format!("{KNOWN}{name}")).or_default().extend(old);
            }
            self.sections.entry(name.to_owned()).or_default().extend(section);
        }
    }
}

/// `[Init?family=inet6]` sets `option?family=inet6` in `[Init]`.
fn conditional<'a>(name: &'a str, section: &Section) -> (&'a str, Section) {
    match name.find('?').and_then(|at| name.split_at_checked(at)) {
        Some((plain, condition)) if is_word(plain) && condition.len() > 1 => {
            let section = section.iter().map(|(name, value)| (format!("{name}{condition}"), value.clone()));
            (plain, section.collect())
        }
        _ => (name, section.clone()),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'))
}

/// Where the names in an option are looked up.
struct Scope<'a> {
    config: &'a Config,
    section: &'a str,
    own: &'a Section,
    given: &'a Given,
}

impl<'a> Scope<'a> {
    fn raw(&self, name: &str) -> Option<&'a str> {
        let given = self.given.get(name).map(String::as_str);
        given.or_else(|| {
            self.own.get(name).or_else(|| self.config.defaults.get(name)).map(|value| value.text.as_str())
        })
    }

    /// What stands in `%(…)s`.
    fn named(&self, written: &str) -> Option<&'a str> {
        let name = written.to_lowercase();
        if let Some(raw) = self.raw(&name) {
            return Some(raw);
        }
        let (of, option) = written.split_once('/').filter(|(of, _)| is_word(of))?;
        let option = option.to_lowercase();
        let config = self.config;
        let own = match of.to_lowercase().as_str() {
            "default" => None,
            "known" => config
                .sections
                .get(&format!("{KNOWN}{}", self.section))
                .and_then(|section| section.get(&option)),
            _ => config.sections.get(of)?.get(&option),
        };
        own.or_else(|| config.defaults.get(&option)).map(|value: &Value| value.text.as_str())
    }

    fn replace(&self, text: &str, done: &mut String, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(format!(
                "`%(…)s` lies more than {MAX_DEPTH} deep, perhaps within itself"
            )));
        }
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            done.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                done.push('%');
                rest = after;
            } else if let Some((name, after)) =
                after.strip_prefix('(').and_then(|after| after.split_once(")s"))
            {
                if name == "__name__" {
                    done.push_str(self.section);
                } else {
                    let value =
                        self.named(name).ok_or_else(|| Error::new(format!("`%({name})s` is set nowhere")))?;
                    self.replace(value, done, depth + 1)?;
                }
                rest = after;
            } else {
                let found: String = after.chars().take(10).collect();
                return Err(Error::new(format!(
                    "`%` must be followed by `%` or `(name)s`, not by `{found}`"
                ))
                .help("write `%%` for a percent sign"));
            }
            if done.len() > MAX_OPTION {
                return Err(Error::new(format!("grows beyond {MAX_OPTION} bytes")));
            }
        }
        done.push_str(rest);
        Ok(())
    }
}

/// Follows `[INCLUDES]`.
struct Reader<'a> {
    files: &'a dyn Files,
    /// `None` for what is not there.
    read: BTreeMap<PathBuf, Option<Ini>>,
    order: Vec<PathBuf>,
}

impl Reader<'_> {
    fn follow(&mut self, paths: &[PathBuf], above: &[PathBuf]) -> Result<(), Error> {
        for path in paths {
            self.follow_one(path, above)?;
            let local = path.with_extension("local");
            if !paths.contains(&local) {
                self.follow_one(&local, above)?;
            }
        }
        Ok(())
    }

    fn follow_one(&mut self, path: &Path, above: &[PathBuf]) -> Result<(), Error> {
        let Some(ini) = self.ini(path)? else { return Ok(()) };
        let includes = |option| -> Vec<PathBuf> {
            let Some(value) = ini.sections.get("INCLUDES").and_then(|section| section.get(option)) else {
                return Vec::new();
            };
            let folder = path.parent().unwrap_or(Path::new(""));
            value
                .text
                .split('\n')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| folder.join(name))
                .collect()
        };
        let (before, after) = (includes("before"), includes("after"));
        let mut above = above.to_vec();
        above.push(path.to_owned());
        for included in before.into_iter().filter(|path| !above.contains(path)).collect::<Vec<_>>() {
            self.follow(&[included], &above)?;
        }
        self.order.push(path.to_owned());
        if self.order.len() > MAX_FILES {
            let place = Place { file: Arc::new(path.to_owned()), line: 0 };
            return Err(Error::new(format!("more than {MAX_FILES} files are included")).at(&place));
        }
        for included in after.into_iter().filter(|path| !above.contains(path)).collect::<Vec<_>>() {
            self.follow(&[included], &above)?;
        }
        Ok(())
    }

    fn ini(&mut self, path: &Path) -> Result<Option<Ini>, Error> {
        if let Some(read) = self.read.get(path) {
            return Ok(read.clone());
        }
        let file = Arc::new(path.to_owned());
        let ini = match self.files.read(path) {
            Ok(text) => Some(Ini::parse(&file, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Error::new(format!("cannot be read: {error}")).at(&Place { file, line: 0 }));
            }
        };
        self.read.insert(path.to_owned(), ini.clone());
        Ok(ini)
    }
}
