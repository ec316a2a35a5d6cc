//! fail2ban's jails, read for who wants to keep them: which filter runs over which log, and what follows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, Given};
use crate::{Error, Files, filter};

/// A section of `jail.local`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jail {
    pub name: String,
    pub enabled: bool,
    /// With options: `sshd[mode=aggressive]`.
    pub filter: String,
    /// Log files, or patterns of such.
    pub files: Vec<String>,
    /// The journal instead of files.
    pub journal: bool,
    pub max_failures: u32,
    pub within: Duration,
    /// `None`: for ever.
    pub ban: Option<Duration>,
    /// Ports that a ban covers, as they are written.
    pub ports: Vec<String>,
    /// Who is never banned, as it is written.
    pub ignored: Vec<String>,
}

/// What stands if a jail says nothing.
const BACKEND: &str = "auto";

impl Jail {
    /// Reads `jail.conf`, `jail.d` and `jail.local` beside the given file, one over the other, as fail2ban does.
    pub fn read(path: &Path, files: &dyn Files) -> Result<Vec<Self>, Error> {
        let paths = filter::in_folder(&path.with_extension(""), files);
        let paths = paths.unwrap_or_else(|| vec![path.to_owned()]);
        Self::read_files(&paths, files)
    }

    fn read_files(paths: &[PathBuf], files: &dyn Files) -> Result<Vec<Self>, Error> {
        let config = Config::read(files, paths)?;
        let names: BTreeSet<&str> = config.sections().filter(|name| *name != "INCLUDES").collect();
        names.into_iter().map(|name| Self::of(&config, name)).collect()
    }

    fn of(config: &Config, name: &str) -> Result<Self, Error> {
        let text = |option: &str| -> Result<String, Error> {
            Ok(config.option(name, option, &Given::new())?.unwrap_or_default().trim().to_owned())
        };
        let wrong = |option: &str, text: &str| {
            let error = Error::new(format!("`{option}` of `{name}` cannot be `{text}`"));
            if let Some(place) = config.place(name, option) { error.at(place) } else { error }
        };
        let period = |option: &str, default: &str| {
            let text =
                Some(text(option)?).filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned());
            seconds(&text).ok_or_else(|| wrong(option, &text))
        };
        let enabled = ["1", "on", "true", "yes"].contains(&text("enabled")?.to_lowercase().as_str());
        let mut jail = Self {
            name: name.to_owned(),
            enabled,
            filter: String::new(),
            files: Vec::new(),
            journal: false,
            max_failures: 5,
            within: Duration::ZERO,
            ban: None,
            ports: Vec::new(),
            ignored: Vec::new(),
        };
        // What is not enabled may be half written.
        if !enabled {
            return Ok(jail);
        }
        jail.filter =
            Some(text("filter")?).filter(|filter| !filter.is_empty()).unwrap_or_else(|| name.to_owned());
        let backend = Some(text("backend")?).filter(|backend| !backend.is_empty());
        jail.journal = backend.as_deref().unwrap_or(BACKEND).starts_with("systemd");
        if !jail.journal {
            // A word behind the path says where reading begins.
            let paths = text("logpath")?;
            jail.files =
                paths.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
        }
        let retries = text("maxretry")?;
        jail.max_failures = if retries.is_empty() {
            5
        } else {
            retries.parse().ok().ok_or_else(|| wrong("maxretry", &retries))?
        };
        jail.within = period("findtime", "10m")?.ok_or_else(|| wrong("findtime", "-1"))?;
        jail.ban = period("bantime", "10m")?;
        jail.ports = words(&text("port")?);
        jail.ignored = words(&text("ignoreip")?);
        Ok(jail)
    }

    /// Whether all its ports are those of SIP.
    pub fn is_sip(&self) -> bool {
        const SIP: [&str; 4] = ["5060", "5061", "sip", "sips"];
        !self.ports.is_empty() && self.ports.iter().all(|port| SIP.contains(&port.as_str()))
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| letter == ',' || letter.is_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A period as fail2ban takes it: `600`, `10m`, `1h 30min`, `1d12h`; `Some(None)` for `-1`, which is for ever.
pub fn seconds(text: &str) -> Option<Option<Duration>> {
    let text = text.trim().to_lowercase();
    if text == "-1" {
        return Some(None);
    }
    let mut sum = 0_f64;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let sign = if rest.starts_with('-') { -1.0 } else { 1.0 };
        rest = rest.trim_start_matches(['+', '-', ' ']);
        let digits =
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(after.len());
        let (word, after) = after.split_at_checked(letters)?;
        sum += sign * number.parse::<f64>().ok()? * unit(word)?;
        rest = after.trim_start();
    }
    Duration::try_from_secs_f64(sum).ok().filter(|period| !period.is_zero()).map(Some)
}

/// Seconds of a unit, of which fail2ban takes several spellings. A year has a quarter of a day more than 365.
fn unit(word: &str) -> Option<f64> {
    const YEAR: f64 = 365.25 * 86_400.0;
    Some(match word {
        "" | "s" | "ss" | "se" | "sec" | "second" | "seconds" => 1.0,
        "m" | "mm" | "mi" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hh" | "ho" | "hou" | "hour" | "hours" => 3600.0,
        "d" | "dd" | "da" | "day" | "days" => 86_400.0,
        "w" | "ww" | "we" | "wee" | "week" | "weeks" => 7.0 * 86_400.0,
        "mo" | "mon" | "month" | "months" => YEAR / 12.0,
        "y" | "yy" | "ye" | "yea" | "year" | "years" => YEAR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct Two;

    impl Files for Two {
        fn read(&self, path: &Path) -> io::Result<String> {
            Ok(match path.to_str() {
                Some("e/jail.conf") => "[DEFAULT]\nbantime = 10m\nfindtime = 10m\nmaxretry = 5\nfilter = %(__name__)s[mode=%(mode)s]\nmode = normal\nignoreip = 127.0.0.1/8 ::1\n[asterisk]\nport = 5060,5061\nlogpath = /var/log/asterisk/full\n          /var/log/asterisk/security tail\n[sshd]\nport = ssh\nbackend = systemd\n[broken]\nlogpath = %(nothing)s\n".to_owned(),
                Some("e/jail.local") => "[asterisk]\nenabled = true\nbantime = 1h 30min\n[sshd]\nenabled = yes\nmode = aggressive\nbantime = -1\n".to_owned(),
                _ => return Err(io::ErrorKind::NotFound.into()),
            })
        }
    }

    #[test]
    fn jails_lie_over_one_another() {
        let jails = Jail::read(Path::new("e/jail.local"), &Two).unwrap();
        let [asterisk, broken, sshd] = jails.as_slice() else { panic!("{jails:?}") };
        assert_eq!((asterisk.filter.as_str(), asterisk.is_sip()), ("asterisk[mode=normal]", true));
        assert_eq!(asterisk.files, ["/var/log/asterisk/full", "/var/log/asterisk/security"]);
        assert_eq!(
            (asterisk.ban, asterisk.within),
            (Some(Duration::from_secs(5400)), Duration::from_secs(600))
        );
        assert_eq!(asterisk.ignored, ["127.0.0.1/8", "::1"]);
        assert_eq!(
            (sshd.filter.as_str(), sshd.journal, sshd.ban, sshd.is_sip()),
            ("sshd[mode=aggressive]", true, None, false)
        );
        assert!(!broken.enabled, "what is not enabled is not looked at");
    }

    #[test]
    fn periods_are_sums() {
        for (text, expected) in [
            ("600", 600.0),
            ("1h 30min", 5400.0),
            ("1d12h", 129_600.0),
            ("1hour+30min", 5400.0),
            ("1year-6mo", 15_778_800.0),
        ] {
            assert_eq!(seconds(text).unwrap().unwrap().as_secs_f64(), expected, "{text}");
        }
        assert_eq!(seconds("-1"), Some(None));
        assert_eq!((seconds("soon"), seconds("1x"), seconds("")), (None, None, None));
    }
}
