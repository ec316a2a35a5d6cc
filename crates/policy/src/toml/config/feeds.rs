//! `[feeds.NAME]`, checked.

use std::time::Duration;

use feeds::Format;

use super::{check_name, word};
use crate::feed::{Feed, FeedSource};
use crate::toml::defaults;
use crate::toml::file;
use crate::toml::reader::{Reader, Span, Spanned};
use crate::toml::values::{self, BadValue, bad};

/// Feeds of one policy.
const MOST_FEEDS: usize = 64;
/// Letters of a reason.
const LONGEST_REASON: usize = 100;
/// How often a list may be asked for. Servers shut out who asks more often.
const EVERY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30 * 86_400));
/// The kernel keeps longer terms for ever.
const TIME: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(180 * 86_400));

pub(super) fn check(written: Option<(Vec<file::Feed>, Span)>, reader: &mut Reader<'_>) -> Vec<Feed> {
    let Some((written, span)) = written else { return Vec::new() };
    if written.len() > MOST_FEEDS {
        let message = format!("{} feeds; there is room for {MOST_FEEDS}", written.len());
        reader.error(&span, message, "join lists into one file, and name the file");
    }
    written.iter().filter_map(|one| feed(one, reader)).collect()
}

fn feed(written: &file::Feed, reader: &mut Reader<'_>) -> Option<Feed> {
    const PORTS: [(&str, bool); 2] = [("sip", false), ("all", true)];
    const AUTO: (&str, Option<Format>) = ("auto", None);
    let [first, second, third] = Format::ALL.map(|format| (format.as_str(), Some(format)));
    check_name(&written.name, "a feed", reader);
    let source = source(written, reader);
    let mut period = |written: &Option<Spanned<String>>, key: &str, bounds, default| {
        let Some(written) = written else { return default };
        reader.value(&written.span, period(&written.value, key, bounds)).map_or(default, |value| value.value)
    };
    let every = period(&written.every, "every", EVERY, defaults::FEED_EVERY);
    let time = period(&written.time, "time", TIME, defaults::FEED_TIME);
    if time <= every {
        let place =
            written.time.as_ref().or(written.every.as_ref()).map_or(&written.name.span, |text| &text.span);
        let help = "let `time` be two or three times `every`, so that a server that is down for once changes nothing";
        reader.warn(place, "bans end before the list is asked for again", help);
    }
    let most = written.most.as_ref().and_then(|most| reader.value(&most.span, most_entries(most.value)));
    let reason = written.reason.as_ref().and_then(|text| reader.value(&text.span, reason(&text.value)));
    let ca_file = written.ca_file.as_ref().and_then(|path| {
        let is_https = written.url.as_ref().is_some_and(|url| url.value.starts_with("https://"));
        if !is_https && !written.wrong_source {
            let help = "write `url = \"https://…\"`, or leave `ca-file` out";
            reader.error(&path.span, "`ca-file` is about a server with https, and there is none", help);
        }
        reader.value(&path.span, values::path(&path.value))
    });
    let all_ports = word(written.ports.as_ref(), "ports", &PORTS, reader);
    let format = word(written.format.as_ref(), "format", &[AUTO, first, second, third], reader);
    Some(Feed {
        name: written.name.value.clone(),
        source: source?,
        ca_file: ca_file.map(|path| path.value),
        every,
        time,
        most: most.map_or(defaults::FEED_MOST, |most| most.value),
        all_ports: all_ports.is_some_and(|(all, _)| all),
        reason: reason.map(|reason| reason.value),
        format: format.and_then(|(format, _)| format),
    })
}

fn source(written: &file::Feed, reader: &mut Reader<'_>) -> Option<FeedSource> {
    match (&written.url, &written.file) {
        (Some(url), None) => {
            let read = reader.value(&url.span, self::url(&url.value))?;
            if is_in_the_clear(&read.value) {
                let help = "with `https:` the server has to show who it is";
                reader.warn(&url.span, "whoever is on the way can put addresses into this list", help);
            }
            Some(FeedSource::Url(read.value))
        }
        (None, Some(file)) => {
            let path = reader.value(&file.span, values::path(&file.value))?;
            Some(FeedSource::File(path.value))
        }
        (Some(_), Some(file)) => {
            reader.error(
                &file.span,
                "`url` and `file` in one feed",
                "write two feeds, or take one of the two out",
            );
            None
        }
        (None, None) => {
            if !written.wrong_source {
                let message = format!("the feed `{}` comes from nowhere", written.name.value);
                reader.error(&written.name.span, message, "write `url = \"https://…\"`, or `file = \"/…\"`");
            }
            None
        }
    }
}

/// The part of a URL that names the host, with what may be before and behind it.
fn authority(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())
}

fn url(text: &str) -> Result<String, BadValue> {
    const LONGEST: usize = 2000;
    const SHAPE: &str = "write it as `\"https://lists.example.net/drop.txt\"`; for a file use `file`";
    let is_plain = text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || authority(text).is_none() {
        return bad("this is no URL of a list", SHAPE);
    }
    Ok(text.to_owned())
}

fn is_in_the_clear(url: &str) -> bool {
    let here = ["127.0.0.1", "localhost", "[::1]"];
    let is_host = |authority: &str, host: &str| {
        authority.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    let is_here = authority(url).is_some_and(|authority| here.iter().any(|host| is_host(authority, host)));
    url.starts_with("http://") && !is_here
}

pub(super) fn period(
    text: &str,
    key: &str,
    (least, most): (Duration, Duration),
) -> Result<Duration, BadValue> {
    let period = values::period(text)?;
    if !(least..=most).contains(&period) {
        let shortest = if least.as_secs() < 60 { "second" } else { "minute" };
        let help = format!("`{key}` is at least 1 {shortest}, and at most {} days", most.as_secs() / 86_400);
        return bad(format!("`{text}` is too {}", if period < least { "short" } else { "long" }), help);
    }
    Ok(period)
}

fn most_entries(number: i64) -> Result<usize, BadValue> {
    let bound = gate::layout::MAX_BANS;
    match usize::try_from(number) {
        Ok(most) if (1..=bound as usize).contains(&most) => Ok(most),
        Ok(_) | Err(_) => {
            bad(format!("`most` cannot be {number}"), format!("it counts entries, from 1 to {bound}"))
        }
    }
}

fn reason(text: &str) -> Result<String, BadValue> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_REASON || text.contains(char::is_control) {
        return bad(
            "this is no reason to show",
            format!(
                "write a few words in one line, at most {LONGEST_REASON} bytes, or leave it out for the feed's name"
            ),
        );
    }
    Ok(text.to_owned())
}
