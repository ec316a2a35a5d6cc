//! `ringfence bans`

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::{BansArgs, BansFormat};
use crate::daemon::control;
use crate::duration;
use crate::exit::Exit;
use crate::request::{Bans, Request};

/// Bans that the daemon gives at once.
const PAGE: usize = 2000;

/// Shows the bans in force, page by page, so that a million of them need no memory.
pub(crate) fn run(args: &BansArgs) -> Result<ExitCode, Exit> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut list = List { format: args.format, count: 0, export: Export::default() };
    let mut request = Bans {
        by: args.by.clone(),
        reason: args.reason.clone(),
        within: args.within.map(|net| net.to_string()),
        after: None,
        limit: PAGE,
    };
    let most = args.limit.unwrap_or(usize::MAX);
    loop {
        request.limit = PAGE.min(most - list.count).max(1);
        let answer = control::accepted(control::ask(&args.daemon.run_dir, &Request::Bans(request.clone()))?)?;
        for row in answer.get("rows").and_then(Value::as_array).into_iter().flatten() {
            list.row(row, &mut out)?;
        }
        request.after = answer.get("next").and_then(Value::as_str).map(str::to_owned);
        if request.after.is_none() || list.count >= most {
            break;
        }
    }
    list.end(&mut out)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

struct List {
    format: BansFormat,
    count: usize,
    export: Export,
}

impl List {
    fn row(&mut self, row: &Value, out: &mut impl Write) -> Result<(), Exit> {
        let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        if self.count == 0 && self.format == BansFormat::Text {
            writeln!(
                out,
                "{:<20} {:<20} {:<12} {:>9} {:>9}  DETAIL",
                "SOURCE", "REASON", "BY", "LEFT", "DROPPED"
            )?;
        }
        self.count += 1;
        match self.format {
            BansFormat::Text => writeln!(
                out,
                "{:<20} {:<20} {:<12} {:>9} {:>9}  {}{}",
                word("source"),
                word("reason"),
                word("by"),
                left(row.get("until").and_then(Value::as_str)),
                row.get("dropped").and_then(Value::as_u64).unwrap_or(0),
                if word("scope") == "all" { "[all ports] " } else { "" },
                word("detail"),
            )?,
            BansFormat::Json => writeln!(out, "{row}")?,
            // Several bans of one source are one there; the first says what counts.
            BansFormat::Ipset | BansFormat::Nft | BansFormat::Plain => {
                let source = word("source");
                if self.export.last != source {
                    self.export.last = source.to_owned();
                    match self.format {
                        BansFormat::Ipset => self.export.ipset(source, out)?,
                        BansFormat::Nft => self.export.nft(source),
                        BansFormat::Plain | BansFormat::Text | BansFormat::Json => writeln!(out, "{source}")?,
                    }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut impl Write) -> Result<(), Exit> {
        match self.format {
            BansFormat::Text if self.count == 0 => writeln!(out, "no bans")?,
            BansFormat::Nft => self.export.nft_end(out)?,
            BansFormat::Ipset => self.export.ipset_begin(out)?,
            BansFormat::Text | BansFormat::Json | BansFormat::Plain => {}
        }
        Ok(())
    }
}

/// For other firewalls.
#[derive(Default)]
struct Export {
    last: String,
    begun: bool,
    v4: BTreeSet<String>,
    v6: BTreeSet<String>,
}

impl Export {
    fn ipset_begin(&mut self, out: &mut impl Write) -> Result<(), Exit> {
        if !std::mem::replace(&mut self.begun, true) {
            writeln!(out, "create -exist ringfence hash:net family inet hashsize 65536 maxelem 2097152")?;
            writeln!(out, "create -exist ringfence6 hash:net family inet6 hashsize 65536 maxelem 2097152")?;
        }
        Ok(())
    }

    fn ipset(&mut self, source: &str, out: &mut impl Write) -> Result<(), Exit> {
        self.ipset_begin(out)?;
        let set = if source.contains(':') { "ringfence6" } else { "ringfence" };
        writeln!(out, "add -exist {set} {source}")?;
        Ok(())
    }

    fn nft(&mut self, source: &str) {
        let set = if source.contains(':') { &mut self.v6 } else { &mut self.v4 };
        set.insert(source.to_owned());
    }

    fn nft_end(&self, out: &mut impl Write) -> Result<(), Exit> {
        writeln!(out, "table inet bans {{")?;
        for (name, kind, elements) in [("bans4", "ipv4_addr", &self.v4), ("bans6", "ipv6_addr", &self.v6)] {
            writeln!(out, "\tset {name} {{\n\t\ttype {kind}\n\t\tflags interval\n\t\tauto-merge")?;
            if !elements.is_empty() {
                writeln!(out, "\t\telements = {{")?;
                for element in elements {
                    writeln!(out, "\t\t\t{element},")?;
                }
                writeln!(out, "\t\t}}")?;
            }
            writeln!(out, "\t}}")?;
        }
        writeln!(out, "}}")?;
        Ok(())
    }
}

/// How much of a ban is left.
pub(super) fn left(until: Option<&str>) -> String {
    let Some(until) = until else { return "for ever".to_owned() };
    let Ok(until) = until.parse::<Timestamp>() else { return until.to_owned() };
    let left = until.duration_since(Timestamp::now());
    std::time::Duration::try_from(left).map_or_else(|_| "0 s".to_owned(), duration::show)
}
