use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, Given};
use crate::date::Forms;
use crate::host;
use crate::pattern::{Haystack, Pattern};
use crate::python::Flags;
use crate::{Error, MAX_LINES, options, tags};

/// Where configuration files come from.
pub trait Files {
    /// The text of a file; [`io::ErrorKind::NotFound`] if there is none.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The files in a folder whose names end so, such as `conf`. None, where nobody can tell.
    fn list(&self, folder: &Path, extension: &str) -> Vec<PathBuf> {
        let _ = (folder, extension);
        Vec::new()
    }
}

/// What the lines come from: filters ask for it by `logtype`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// A file, whose lines begin with a date.
    #[default]
    File,
    /// The journal, which knows the time itself.
    Journal,
}

/// What `usedns` says about names in the place of addresses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UseDns {
    Yes,
    #[default]
    Warn,
    /// `<HOST>` is an address, or the expression does not match.
    No,
    Raw,
}

/// A file of `filter.d`, read, with options.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(crate) prefix: Option<Pattern>,
    pub(crate) failures: Vec<Pattern>,
    pub(crate) ignored: Vec<Pattern>,
    pub(crate) forms: Forms,
    texts: Texts,
    max_lines: usize,
    use_dns: UseDns,
    journal: Vec<String>,
}

/// The expressions as a user reads them, with `<HOST>`.
#[derive(Clone, Debug, Default)]
struct Texts {
    prefix: Option<String>,
    failures: Vec<String>,
    ignored: Vec<String>,
}

/// What fail2ban takes from a filter.
const OPTIONS: [&str; 7] =
    ["usedns", "prefregex", "ignoreregex", "failregex", "maxlines", "datepattern", "journalmatch"];
const DEFINITION: &str = "Definition";

impl Filter {
    /// Reads a filter by name from the first of the folders that has it, or by path; options may stand in brackets:
    /// `sshd[mode=aggressive]`.
    pub fn load(name: &str, kind: Kind, folders: &[&Path], files: &dyn Files) -> Result<Self, Error> {
        let (name, given) = options::parse(name)?;
        let paths = find(&name, folders, files)?;
        let config = Config::read(files, &paths)?;
        let options = combined(&config, kind, given)?;
        let at = |option: &'static str| {
            let place = config.place(DEFINITION, option).cloned();
            move |error: Error| if let Some(place) = &place { error.at(place) } else { error }
        };
        let option = |name: &str| options.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let use_dns = use_dns(option("usedns"));
        let max_lines = max_lines(option("maxlines")).map_err(at("maxlines"))?;
        let texts = Texts {
            prefix: option("prefregex").map(str::to_owned),
            failures: lines(option("failregex")),
            ignored: lines(option("ignoreregex")),
        };
        let haystack = if max_lines > 1 { Haystack::Lines } else { Haystack::Line };
        let names = use_dns != UseDns::No;
        // Told as it is written, with `<HOST>`.
        let as_written = |text: &String, pattern: Result<Pattern, Error>| {
            pattern.map_err(|error| Error { regex: Some(text.clone()), ..error })
        };
        let compile = |text: &String, multi_line| {
            let flags = Flags { multi_line, ..Flags::default() };
            as_written(text, Pattern::new(&host::expand(text, names), flags, haystack))
        };
        let prefix = texts.prefix.as_ref();
        let prefix =
            prefix.map(|text| as_written(text, Pattern::prefix(&host::expand(text, names), haystack)));
        let prefix = prefix.transpose().map_err(at("prefregex"))?;
        let failures =
            texts.failures.iter().map(|text| compile(text, max_lines > 1)).collect::<Result<Vec<_>, _>>();
        let failures = failures.map_err(at("failregex"))?;
        let ignored = texts.ignored.iter().map(|text| compile(text, false)).collect::<Result<_, _>>();
        let ignored = ignored.map_err(at("ignoreregex"))?;
        check(&prefix, &failures, &texts).map_err(at("failregex"))?;
        let forms = Forms::new(option("datepattern")).map_err(at("datepattern"))?;
        let journal = lines(option("journalmatch"));
        Ok(Self { prefix, failures, ignored, forms, texts, max_lines, use_dns, journal })
    }

    /// Which entries of the journal a filter wants, as `journalctl` takes them: each line one alternative, its words matches.
    pub fn journal_matches(&self) -> &[String] {
        &self.journal
    }

    /// How many lines an expression may span.
    pub const fn max_lines(&self) -> usize {
        self.max_lines
    }

    /// What is to be done with names.
    pub const fn use_dns(&self) -> UseDns {
        self.use_dns
    }

    /// The `failregex`es, as they are written, with `<HOST>`; [`crate::Failure::regex`] is a place in it.
    pub fn fail_regexes(&self) -> &[String] {
        &self.texts.failures
    }

    /// The `ignoreregex`es.
    pub fn ignore_regexes(&self) -> &[String] {
        &self.texts.ignored
    }

    /// The `prefregex`.
    pub fn prefix_regex(&self) -> Option<&str> {
        self.texts.prefix.as_deref()
    }
}

/// The files of a filter in the first folder that has it.
fn find(name: &str, folders: &[&Path], files: &dyn Files) -> Result<Vec<PathBuf>, Error> {
    if name.contains('/') || name.ends_with(".conf") || name.ends_with(".local") {
        let path = Path::new(name);
        if is_there(path, files) {
            return Ok(vec![path.to_owned()]);
        }
        return if path.extension().is_none() { in_folder(path, files) } else { None }
            .ok_or_else(|| Error::new(format!("there is no filter `{name}`")));
    }
    folders.iter().find_map(|folder| in_folder(&folder.join(name), files)).ok_or_else(|| {
        let folders: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
        Error::new(format!("there is no filter `{name}` in {}", folders.join(" or ")))
            .help("a filter is named as its file, without `.conf`")
    })
}

fn is_there(path: &Path, files: &dyn Files) -> bool {
    !matches!(files.read(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// `NAME.conf`, `NAME.d/*.conf`, `NAME.local` and `NAME.d/*.local`, as far as they are there.
pub(crate) fn in_folder(base: &Path, files: &dyn Files) -> Option<Vec<PathBuf>> {
    let with = |extension: &str| {
        let mut path = base.as_os_str().to_owned();
        path.push(extension);
        PathBuf::from(path)
    };
    let mut paths = vec![with(".conf")];
    paths.extend(files.list(&with(".d"), "conf"));
    paths.push(with(".local"));
    paths.extend(files.list(&with(".d"), "local"));
    paths.retain(|path| is_there(path, files));
    (!paths.is_empty()).then_some(paths)
}

/// The options of `[Definition]` and `[Init]` under those that are given, with all in them replaced.
fn combined(config: &Config, kind: Kind, given: Given) -> Result<BTreeMap<String, String>, Error> {
    let definition = config.section(DEFINITION).ok_or_else(|| {
        Error::new("the filter has no section `[Definition]`").help("it is where `failregex` stands")
    })?;
    let mut above: Given = given;
    if kind == Kind::Journal && !above.contains_key("logtype") && !definition.contains_key("logtype") {
        above.insert("logtype".to_owned(), "journal".to_owned());
    }
    let lower: Given = above.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    let mut options = BTreeMap::new();
    for name in OPTIONS {
        if !above.contains_key(name)
            && let Some(value) = config.option(DEFINITION, name, &lower)?
        {
            options.insert(name.to_owned(), value);
        }
    }
    let init: Vec<String> =
        config.section("Init").map(|section| section.keys().cloned().collect()).unwrap_or_default();
    for name in init {
        let Some(value) = config.option("Init", &name, &Given::new())? else { continue };
        above.insert(format!("known/{name}"), value.clone());
        let plain = name.split_once('?').map(|(plain, _)| plain).and_then(|plain| above.get(plain)).cloned();
        above.entry(name).or_insert_with(|| plain.unwrap_or(value));
    }
    options.extend(above);
    let ignored: BTreeSet<String> =
        options.keys().filter_map(|name| name.split_once('?').map(|(plain, _)| plain.to_owned())).collect();
    // What cannot be read counts as not set, as in fail2ban.
    let other = |tag: &str| config.option_by_path(DEFINITION, tag, &lower).ok().flatten();
    tags::replace(&mut options, &ignored, other).map_err(|(name, error)| {
        match config.place(DEFINITION, &name) {
            Some(place) => error.at(place),
            None => error,
        }
    })?;
    Ok(options)
}

fn lines(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn use_dns(text: Option<&str>) -> UseDns {
    match text.map(str::to_lowercase).as_deref() {
        Some("yes") => UseDns::Yes,
        None | Some("warn") => UseDns::Warn,
        Some("raw") => UseDns::Raw,
        Some(_) => UseDns::No,
    }
}

fn max_lines(text: Option<&str>) -> Result<usize, Error> {
    let Some(text) = text else { return Ok(1) };
    let lines = text.trim().parse().ok().filter(|lines| (1..=MAX_LINES).contains(lines));
    lines
        .ok_or_else(|| Error::new(format!("`maxlines` must be a number from 1 to {MAX_LINES}, not `{text}`")))
}

/// Every expression must find something to tell failures apart by.
fn check(prefix: &Option<Pattern>, failures: &[Pattern], texts: &Texts) -> Result<(), Error> {
    const HOSTS: [&str; 5] = ["fid", "ip4", "ip6", "dns", "mlfid"];
    let has_host = |pattern: &Pattern| HOSTS.iter().any(|name| pattern.group(name).is_some());
    if failures.is_empty() {
        return Err(Error::new("`failregex` says nothing").help("a filter needs one expression at least"));
    }
    let in_prefix = prefix.as_ref().is_some_and(has_host);
    match failures.iter().zip(&texts.failures).find(|(pattern, _)| !in_prefix && !has_host(pattern)) {
        Some((_, text)) => Err(Error::new("the expression finds no host")
            .regex(text)
            .help("put `<HOST>` where the address is")),
        None => Ok(()),
    }
}
