//! One look at a list, on a thread of its own: what it says, and what the ledger says of those who are in it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use feeds::{Format, List, MAX_BYTES};
use host::fetch::{self, Answer, Mark};
use host::fetchers::Fetchers;
use ledger::{By, Net, Reader, Scope, Time};
use policy::feed::{Feed, FeedSource};

/// Pages of a list that comes in pages.
const MAX_PAGES: usize = 1_000;
/// All pages together take no longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a look brought.
#[derive(Debug)]
pub(crate) struct Found {
    /// `None`: the list is as it was.
    pub(crate) news: Option<News>,
    /// What is in force on entries of the list already.
    pub(crate) known: HashMap<Net, Known>,
}

/// A list that has changed.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) nets: Vec<Net>,
    pub(crate) mark: Mark,
    pub(crate) format: Format,
    pub(crate) unread: u64,
    /// The first lines that are no entry, as they are to be shown.
    pub(crate) samples: Vec<String>,
    /// Too wide, or nobody's on the internet.
    pub(crate) refused: u64,
    pub(crate) beyond: u64,
    /// It is longer than what is read.
    pub(crate) cut: bool,
}

/// What comes out of all bans on a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) until: Option<Time>,
    pub(crate) scope: Scope,
    /// The operator has decided about it.
    pub(crate) by_operator: bool,
}

/// Looks; `before` is what was in the list, for one that has not changed.
pub(crate) fn look(
    feed: &Feed,
    mark: &Mark,
    before: &[Net],
    (ledger, fetchers): (&Path, &Fetchers),
) -> Result<Found, String> {
    let news = news(feed, mark, fetchers)?;
    let nets = news.as_ref().map_or(before, |news| news.nets.as_slice());
    let known = known(nets, ledger).map_err(|error| format!("the ledger cannot be read: {error}"))?;
    Ok(Found { news, known })
}

fn news(feed: &Feed, mark: &Mark, fetchers: &Fetchers) -> Result<Option<News>, String> {
    let answer = match &feed.source {
        FeedSource::File(path) => fetch::file(path, mark, MAX_BYTES),
        FeedSource::Url(url) => fetchers.url(url, feed.ca_file.as_deref(), mark, MAX_BYTES),
    };
    let (bytes, mark) = match answer.map_err(|error| error.to_string())? {
        Answer::Unchanged => return Ok(None),
        Answer::Body { status: 200, bytes, mark } => (bytes, mark),
        Answer::Body { status, .. } => return Err(format!("the server answers with status {status}")),
    };
    let mut list = List::parse(&bytes, feed.format, feed.most);
    drop(bytes);
    let mark = match (&feed.source, list.format) {
        // The mark is of the first page, and what is new is on the last one.
        (FeedSource::Url(url), Format::Apiban) => {
            turn_pages((feed, url), &mut list, fetchers)?;
            Mark::default()
        }
        (FeedSource::File(_) | FeedSource::Url(_), Format::Apiban | Format::Ipset | Format::Plain) => mark,
    };
    let samples: Vec<String> =
        list.samples.iter().map(|sample| format!("line {}: `{}`", sample.line, sample.text)).collect();
    if list.entries.is_empty() && list.unread > 0 {
        let first = samples.first().map(String::as_str).unwrap_or_default();
        return Err(format!("there is no entry in it, but {} lines that are none ({first})", list.unread));
    }
    let mut nets: Vec<Net> = list.entries.iter().map(|entry| Net::new(entry.address, entry.prefix)).collect();
    // Several addresses of one /64 are one.
    nets.sort_unstable();
    nets.dedup();
    Ok(Some(News {
        nets,
        mark,
        format: list.format,
        unread: list.unread,
        samples,
        refused: list.wide + list.reserved,
        beyond: list.beyond,
        cut: list.cut,
    }))
}

/// Reads the pages behind the first one.
fn turn_pages((feed, url): (&Feed, &str), list: &mut List, fetchers: &Fetchers) -> Result<(), String> {
    let (authorities, most) = (feed.ca_file.as_deref(), feed.most);
    let begin = Instant::now();
    let mut seen = HashSet::new();
    while let Some(id) = list.next.take() {
        let is_new = seen.insert(id.clone());
        if !is_new || list.entries.len() >= most || seen.len() > MAX_PAGES || begin.elapsed() > PATIENCE {
            break;
        }
        let page = format!("{}/{id}", url.trim_end_matches('/'));
        match fetchers
            .url(&page, authorities, &Mark::default(), MAX_BYTES)
            .map_err(|error| error.to_string())?
        {
            Answer::Unchanged => break,
            Answer::Body { status: 200, bytes, .. } => {
                let page = List::parse(&bytes, Some(Format::Apiban), most);
                // Behind the last page is one that says so in words.
                if page.next.is_none() && page.entries.is_empty() {
                    break;
                }
                list.add(page, most);
            }
            // So APIBAN says that there is no more.
            Answer::Body { status: 400, .. } => break,
            Answer::Body { status, .. } => return Err(format!("the server answers with status {status}")),
        }
    }
    Ok(())
}

/// What is in force on any of these.
fn known(nets: &[Net], ledger: &Path) -> Result<HashMap<Net, Known>, ledger::Error> {
    let mut known = HashMap::new();
    // A connection of its own, so that the daemon's is free meanwhile.
    Reader::open(ledger)?.active(Time::from(SystemTime::now()), |row| {
        if row.rules && nets.binary_search(&row.ban.source).is_ok() {
            let by_operator = row.ban.by == By::Operator;
            known.insert(row.ban.source, Known { until: row.until, scope: row.scope, by_operator });
        }
    })?;
    Ok(known)
}
