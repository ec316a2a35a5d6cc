use super::template::{self, Template};
use crate::Error;

/// The forms in which fail2ban looks for a date, in its order, with the `%…` of `datepattern`.
pub(super) fn patterns() -> Vec<String> {
    // Pieces of which they are made.
    let clock = "%H:%M:%S";
    let clock_k = "%k:%M:%S";
    let point = r"(?:\.%f)?";
    let stop = r"(?:[.,]%f)?";
    let zone = r"(?:\s*%z)?";
    let gap = "(?:T|  ?)";
    let weekday = "(?:%a )?";
    let asctime = format!("{weekday}%b %d {clock_k}{point}(?: %ExY)?");
    let same = |first: &str, signs: &str, second: &str, third: &str| {
        format!("{first}(?P<_sep>[{signs}]){second}(?P=_sep){third}")
    };
    vec![
        // 2005-01-23T21:59:59.981746+02:00, 2005/01/23 21:59:59, 2006.12.21 06:43:20
        format!("{}{gap}{clock}{stop}{zone}", same("%ExY", "-/.", "%m", "%d")),
        // Sun Jan 23 21:59:59.011 2005
        asctime.clone(),
        // Sun Jan 23 2005 21:59:59.011
        format!("{weekday}%b %d %ExY {clock_k}{point}"),
        // 23/01/2005 21:59:59, 23-01-05 21:59:59
        format!("{} {clock_k}", same("%d", "-/", "%m", "(?:%ExY|%Exy)")),
        // 31/Oct/2006:09:22:55 -0000, 26-Jul-2007 15:20:52.252
        format!("{}[ :]?{clock}{point}(?: %z)?", same("%d", "-/", "%b", "%ExY")),
        // 05/20/2008:01:57:39
        format!("%m/%d/%ExY:{clock}"),
        // 01-27-2012 16:22:44.252
        format!("%m-%d-%ExY {clock_k}{point}"),
        "EPOCH".to_owned(),
        // The time alone.
        format!("{{^LN-BEG}}{clock}"),
        // <09/16/08@05:03:30>
        format!("^<%m/%d/%Exy@{clock}>"),
        // 130322 11:46:11
        format!("%Exy%Exm%Exd  ?{clock}"),
        // Jan 23, 2005 9:59:59 PM
        "%b %d, %ExY %I:%M:%S %p".to_owned(),
        // Apr-27-13 02:33:06
        format!("^%b-%d-%Exy {clock_k}"),
        // 20050123T215959; with hyphen and colons as fail2ban 1.1 takes it
        format!("%ExY%Exm%Exd(?:-|T|  ?)%ExH:?%ExM:?%ExS{stop}{zone}"),
        // PDT Apr 16 21:05:29
        format!("(?:%Z )?{asctime}"),
        // +00:00 Jan 23 21:59:59.011 2005
        format!("(?:%z )?{asctime}"),
        "TAI64N".to_owned(),
    ]
}

/// All of them: first those that are bound to the beginning of the line, which weigh more, then as they are.
pub(super) fn all() -> Result<Vec<Template>, Error> {
    let mut templates = Vec::new();
    for pattern in patterns().iter().filter(|pattern| !is_bound(pattern)) {
        let mut template = Template::new(&format!("{{^LN-BEG}}{pattern}"))?;
        template.weight = 100.0;
        templates.push(template);
    }
    for pattern in patterns() {
        templates.push(Template::new(&pattern)?);
    }
    Ok(templates)
}

/// Those that a `{DATE}` within a pattern stands for.
pub(super) fn within(pattern: &str) -> Result<Vec<Template>, Error> {
    patterns().iter().map(|date| Template::new(&put(pattern, template::unbound(date)))).collect()
}

fn is_bound(pattern: &str) -> bool {
    pattern.starts_with("{^LN-BEG}") || pattern.starts_with('^')
}

/// Puts a date in the place of `{DATE}`.
fn put(pattern: &str, date: &str) -> String {
    let mut done = String::new();
    let mut rest = pattern;
    while let Some(start) = rest.to_ascii_uppercase().find("{DATE}") {
        let (before, after) = rest.split_at_checked(start).unwrap_or((rest, ""));
        let (tag, after) = after.split_at_checked("{DATE}".len()).unwrap_or((after, ""));
        done.push_str(before);
        done.push_str(if before.ends_with('\\') { tag } else { date });
        rest = after;
    }
    done.push_str(rest);
    done
}
