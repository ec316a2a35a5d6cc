//! The time zone of this host.

use jiff::tz::TimeZone;

/// Where zones lie by name.
const ZONES: &str = "/usr/share/zoneinfo";

/// What `TZ` says, else `/etc/localtime`, else UTC.
pub(crate) fn local() -> TimeZone {
    let variable = std::env::var("TZ").ok();
    let named = variable
        .as_deref()
        .map(|name| name.strip_prefix(':').unwrap_or(name))
        .filter(|name| !name.is_empty());
    named.map_or_else(|| read("/etc/localtime"), of).unwrap_or(TimeZone::UTC)
}

/// A path, a name, or a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
fn of(name: &str) -> Option<TimeZone> {
    let path = if name.starts_with('/') { name.to_owned() } else { format!("{ZONES}/{name}") };
    read(&path).or_else(|| TimeZone::posix(name).ok())
}

fn read(path: &str) -> Option<TimeZone> {
    TimeZone::tzif("local", &std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_names_paths_and_rules() {
        assert!(of("CET-1CEST,M3.5.0,M10.5.0/3").is_some());
        assert!(of("no/such/zone").is_none());
        assert!(of("/no/such/file").is_none());
    }
}
