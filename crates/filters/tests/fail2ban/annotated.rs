//! Reads annotated logs and compares.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use filters::{Failure, Files, Filter, Host, Kind, Matcher};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// 2005-08-14 12:00:00 in Zurich.
const NOW: Duration = Duration::from_secs(1_124_013_600);

/// Where filters and logs are.
pub(crate) struct Where {
    pub(crate) filters: Vec<PathBuf>,
    pub(crate) logs: PathBuf,
}

/// What became of a filter and its log.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) name: String,
    /// Why it could not be loaded.
    pub(crate) broken: Option<String>,
    pub(crate) lines: usize,
    pub(crate) agreed: usize,
    pub(crate) disagreed: Vec<String>,
    /// Lines in which somebody else might have been meant.
    pub(crate) ambiguous: Vec<String>,
}

struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> std::io::Result<String> {
        // The filters of fail2ban's tests include those of a checkout around them, which Debian's package is not.
        let name = path.file_name().unwrap_or_default();
        let installed = Path::new("/etc/fail2ban/filter.d").join(name);
        let far = path.components().any(|part| part == std::path::Component::ParentDir) && !path.exists();
        std::fs::read_to_string(if far { &installed } else { path })
    }
}

impl Where {
    pub(crate) fn check_all(&self) -> Vec<Report> {
        let mut names = BTreeSet::new();
        for (number, folder) in self.filters.iter().enumerate() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap_or_default();
                let Some(name) = name.strip_suffix(".conf") else { continue };
                // fail2ban's tests bring filters of their own, too.
                if !name.ends_with("common") && (number == 0 || name.starts_with("zzz-")) {
                    names.insert(name.to_owned());
                }
            }
        }
        names.iter().map(|name| self.check(name)).collect()
    }

    pub(crate) fn check(&self, name: &str) -> Report {
        let mut checker = Checker {
            place: self,
            report: Report { name: name.to_owned(), ..Report::default() },
            matchers: BTreeMap::new(),
            current: Vec::new(),
            common: Map::new(),
            passed_over: false,
        };
        if let Err(error) = self.load(name, &Map::new()) {
            checker.report.broken = Some(error);
            return checker.report;
        }
        let mut logs = vec![name.to_owned()];
        while let Some(log) = logs.pop() {
            let text = std::fs::read(self.logs.join(&log)).unwrap_or_default();
            checker.log(&log, &String::from_utf8_lossy(&text), &mut logs);
        }
        checker.report
    }

    /// The lines of a log in which a filter finds a failure.
    pub(crate) fn matched(&self, name: &str) -> BTreeSet<String> {
        let mut matcher = Matcher::new(&self.load(name, &Map::new()).unwrap());
        let log = std::fs::read_to_string(self.logs.join(name)).unwrap();
        let lines = log.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let failures = lines.flat_map(|line| matcher.line(line.as_bytes(), NOW, &zurich()).failures);
        failures.flat_map(|failure| failure.lines).map(|line| line.trim_end().to_owned()).collect()
    }

    fn load(&self, name: &str, options: &Map<String, Value>) -> Result<Filter, String> {
        let given: Vec<String> = options
            .iter()
            .filter(|(name, _)| !name.starts_with("test."))
            .map(|(name, value)| {
                format!("{name}=\"{}\"", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect();
        let name = if given.is_empty() { name.to_owned() } else { format!("{name}[{}]", given.join(",")) };
        let folders: Vec<&Path> = self.filters.iter().map(PathBuf::as_path).collect();
        Filter::load(&name, Kind::File, &folders, &Disk)
            .map_err(|error| format!("{error} (regex {:?}, help {:?})", error.regex, error.help))
    }
}

struct Checker<'a> {
    place: &'a Where,
    report: Report,
    /// By their options.
    matchers: BTreeMap<String, Matcher>,
    current: Vec<(String, Map<String, Value>)>,
    common: Map<String, Value>,
    passed_over: bool,
}

impl Checker<'_> {
    fn log(&mut self, log: &str, text: &str, logs: &mut Vec<String>) {
        let mut lines = text.split('\n').enumerate();
        while let Some((number, line)) = lines.next() {
            let (expected, line) = match annotation(line) {
                Some(("failJSON", json)) => (object(&json), lines.next().map_or("", |(_, line)| line)),
                Some(("fileOptions", json)) => {
                    self.common = object(&json);
                    continue;
                }
                Some(("filterOptions", json)) => {
                    self.options(&json);
                    continue;
                }
                Some((_, json)) => {
                    logs.insert(0, json.as_str().unwrap_or_default().to_owned());
                    continue;
                }
                None if self.passed_over || line.starts_with('#') || line.trim().is_empty() => continue,
                None => (Map::new(), line),
            };
            if !self.passed_over {
                self.line(&format!("{log}:{}", number + 1), line.trim_end_matches('\r'), &expected);
            }
        }
    }

    fn options(&mut self, json: &Value) {
        let all = json.as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
        self.current.clear();
        for options in all {
            let mut merged = self.common.clone();
            merged.extend(object(&options));
            let condition = merged.get("test.condition").and_then(Value::as_str).unwrap_or_default();
            self.passed_over = !holds(condition, &self.report.name, &merged);
            if !self.passed_over {
                self.add(merged);
            }
        }
    }

    fn add(&mut self, options: Map<String, Value>) {
        let named = options.get("test.filter-name").and_then(Value::as_str);
        let key = named.map_or_else(|| Value::Object(options.clone()).to_string(), str::to_owned);
        if !self.matchers.contains_key(&key) {
            match self.place.load(&self.report.name, &options) {
                Ok(filter) => {
                    self.matchers.insert(key.clone(), Matcher::new(&filter));
                }
                Err(error) => self.report.broken = Some(error),
            }
        }
        self.current.push((key, options));
    }

    fn line(&mut self, place: &str, line: &str, expected: &Map<String, Value>) {
        if self.current.is_empty() {
            self.add(Map::new());
        }
        for (key, options) in &self.current {
            let condition = expected.get("constraint").and_then(Value::as_str).unwrap_or_default();
            let Some(matcher) =
                self.matchers.get_mut(key).filter(|_| holds(condition, &self.report.name, options))
            else {
                continue;
            };
            let zone = zurich();
            let outcome = if options.get("logtype").and_then(Value::as_str) == Some("journal") {
                let prefix = options.get("test.prefix-line").and_then(Value::as_str).unwrap_or_default();
                matcher.entry(&format!("{prefix}{line}"), NOW, NOW)
            } else {
                matcher.line(line.as_bytes(), NOW, &zone)
            };
            self.report.lines += 1;
            match compare(expected, &outcome.failures) {
                Ok(()) => self.report.agreed += 1,
                Err(said) => self.report.disagreed.push(format!("{place} {key}: {said}: {line}")),
            }
            for failure in &outcome.failures {
                if let Some(other) = &failure.other {
                    self.report.ambiguous.push(format!("{place}: {} or {other}: {line}", failure.host));
                }
            }
        }
    }
}

/// `# failJSON: {…}` and its kin.
fn annotation(line: &str) -> Option<(&str, Value)> {
    let text = line.strip_prefix('#')?.trim_start_matches('#').trim_start();
    let (kind, json) = text.split_once(':')?;
    ["failJSON", "fileOptions", "filterOptions", "addFILE"]
        .contains(&kind)
        .then(|| (kind, serde_json::from_str(json).unwrap()))
}

fn object(json: &Value) -> Map<String, Value> {
    json.as_object().cloned().unwrap_or_default()
}

/// The few conditions that the logs have, which are Python.
fn holds(condition: &str, name: &str, options: &Map<String, Value>) -> bool {
    let mode = options.get("mode").and_then(Value::as_str);
    match condition.replace(' ', "").as_str() {
        "" => true,
        "name=='sshd'" => name == "sshd",
        "opts.get('mode')=='aggressive'" => mode == Some("aggressive"),
        "opts.get('mode')!='aggressive'" => mode != Some("aggressive"),
        other => panic!("a condition that nobody knows: {other}"),
    }
}

fn compare(expected: &Map<String, Value>, failures: &[Failure]) -> Result<(), String> {
    let wanted = expected.get("match").and_then(Value::as_bool).unwrap_or(false);
    let failure = match (wanted, failures) {
        (false, []) => return Ok(()),
        (false, _) => return Err(format!("matched {failures:?}")),
        (true, []) => return Err("did not match".to_owned()),
        (true, [failure, ..]) => failure,
    };
    for (key, value) in expected {
        let text = value.as_str().unwrap_or_default();
        let agrees = match key.as_str() {
            "dns" if value.is_null() => !matches!(failure.host, Host::Name(_)),
            "host" | "ip4" | "ip6" | "dns" => same_host(failure, text),
            "time" if text.is_empty() => true,
            "time" => failure.time == time(text),
            "user" => failure.user.as_deref() == value.as_str(),
            "users" => {
                let users: BTreeSet<_> =
                    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                failure.users.iter().map(String::as_str).collect::<BTreeSet<_>>() == users
            }
            "attempts" => Some(failure.lines.len() as u64) == value.as_u64(),
            "match" | "desc" | "constraint" => true,
            other => panic!("an expectation that nobody knows: {other}"),
        };
        if !agrees {
            return Err(format!("{key} should be {value} in {failure:?}"));
        }
    }
    Ok(())
}

/// fail2ban leaves an IPv6 address as it was written.
fn same_host(failure: &Failure, text: &str) -> bool {
    let shown = failure.id.clone().unwrap_or_else(|| failure.host.to_string());
    shown == text || text.parse().is_ok_and(|address| failure.host == Host::Addr(address))
}

/// What a clock in Zurich shows.
fn time(text: &str) -> Duration {
    // One is written without all its zeros.
    let (date, clock) = text.split_once('T').unwrap();
    let number = |part: &str| part.parse::<i8>().unwrap();
    let mut parts = date.split('-');
    let year = parts.next().unwrap().parse().unwrap();
    let day: Vec<i8> = parts.map(number).collect();
    let clock: Vec<i8> = clock.split([':', '.']).take(3).map(number).collect();
    let civil = jiff::civil::date(year, day[0], day[1]).at(clock[0], clock[1], clock[2], 0);
    let zoned = civil.to_zoned(zurich()).unwrap();
    Duration::try_from(zoned.timestamp().as_duration()).unwrap()
}

fn zurich() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0").unwrap()
}
