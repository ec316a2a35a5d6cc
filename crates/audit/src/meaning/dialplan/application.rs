//! What an application of the dialplan does with a call, as far as that matters here.

use std::collections::BTreeMap;

use crate::conf::Config;

/// Variables within variables.
const MAX_EXPANSIONS: usize = 16;
const MAX_EXPANDED: usize = 4_096;

/// Where a step leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Leads {
    /// To a trunk, with the number that was dialled.
    Out(Number),
    /// To another context, with the number that was dialled. With another, which the caller did not choose, it leads nowhere.
    To(String, Number),
    /// To somebody who asks for a number first.
    Pin,
}

/// What becomes of the number that was dialled: `+${EXTEN:2}`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Number {
    /// So many of its first letters are not sent, if that can be told.
    pub(super) strip: Option<usize>,
    /// What is sent in their stead.
    pub(super) prefix: String,
}

/// `[globals]`.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn read(config: &Config) -> Self {
        let globals = config.real().filter(|section| section.name.eq_ignore_ascii_case("globals"));
        Self(
            globals
                .flat_map(|section| &section.entries)
                .map(|e| (e.key.to_string(), e.value.to_string()))
                .collect(),
        )
    }

    /// With the values of what is known.
    fn expand(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..MAX_EXPANSIONS {
            let known = self.0.iter().find_map(|(name, value)| {
                [format!("${{{name}}}"), format!("${{GLOBAL({name})}}")]
                    .into_iter()
                    .find(|form| text.contains(form.as_str()))
                    .map(|form| (form, value))
            });
            match known {
                Some((form, value)) if text.len() < MAX_EXPANDED => text = text.replacen(&form, value, 1),
                _ => break,
            }
        }
        text
    }
}

/// Everything that `App(arguments)` leads to.
pub(super) fn leads(application: &str, variables: &Variables) -> Vec<Leads> {
    let (name, arguments) = application.split_once('(').map_or((application, ""), |(name, rest)| {
        (name.trim(), rest.rsplit_once(')').map_or(rest, |(arguments, _)| arguments))
    });
    match name.to_ascii_lowercase().as_str() {
        "dial" => dial(arguments, variables),
        "goto" => jump(&split(arguments, ',')),
        "gosub" => match split(arguments, ',').first() {
            Some(context) if is_dialout(context) => vec![Leads::Out(number(arguments))],
            _ => jump(&split(arguments, ',')),
        },
        "macro" => match split(arguments, ',').first() {
            Some(name) if is_dialout(name) => vec![Leads::Out(number(arguments))],
            Some(name) if name.starts_with("pinset") => vec![Leads::Pin],
            Some(name) => vec![Leads::To(format!("macro-{name}"), Number::default())],
            None => Vec::new(),
        },
        "authenticate" | "vmauthenticate" => vec![Leads::Pin],
        // Applications in applications, and jumps with conditions.
        "execif" | "tryexec" | "exec" => conditional(arguments, variables),
        "gotoif" | "gotoiftime" | "gosubif" => {
            let (_, targets) = split_condition(arguments);
            targets.iter().flat_map(|target| jump(&split(bare(target), ','))).collect()
        }
        _ => Vec::new(),
    }
}

/// FreePBX's own macro for outbound routes, as a macro and, newer, as a subroutine.
fn is_dialout(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    let name = name.strip_prefix("macro-").or_else(|| name.strip_prefix("sub-")).unwrap_or(&name);
    matches!(name, "dialout-trunk" | "dialout-enum" | "dialout-dundi" | "dialout")
}

/// A number that the caller may have chosen, or the start of a subroutine that has it.
fn is_free(extension: &str) -> bool {
    extension.contains("${") || extension.trim() == "s"
}

/// `context,extension,priority`; with fewer it stays in the context.
fn jump(parts: &[&str]) -> Vec<Leads> {
    match parts {
        [context, extension, _, ..] if !context.contains('$') && is_free(extension) => {
            vec![Leads::To(context.trim().to_owned(), number(extension))]
        }
        _ => Vec::new(),
    }
}

fn conditional(arguments: &str, variables: &Variables) -> Vec<Leads> {
    let (has_condition, branches) = split_condition(arguments);
    let branches = if has_condition { branches } else { vec![arguments] };
    // Whoever nests conditions in conditions is not followed any further.
    let inner = branches.into_iter().filter(|branch| !branch.to_ascii_lowercase().starts_with("exec"));
    inner.flat_map(|branch| leads(branch.trim(), variables)).collect()
}

/// `condition?this:that`.
fn split_condition(arguments: &str) -> (bool, Vec<&str>) {
    match split(arguments, '?').as_slice() {
        [_, ..] if !arguments.contains('?') => (false, Vec::new()),
        [condition, ..] => {
            let rest = arguments.get(condition.len() + 1..).unwrap_or_default();
            (true, split(rest, ':'))
        }
        [] => (false, Vec::new()),
    }
}

/// Targets of a GosubIf may have arguments: `context,s,1(one,two)`.
fn bare(target: &str) -> &str {
    target.split('(').next().unwrap_or_default()
}

fn dial(arguments: &str, variables: &Variables) -> Vec<Leads> {
    let arguments = variables.expand(arguments);
    let destinations = split(&arguments, ',').first().map(|first| split(first, '&')).unwrap_or_default();
    destinations.into_iter().filter_map(destination).collect()
}

/// `PJSIP/${EXTEN}@trunk`, `SIP/trunk/${EXTEN}`, `Local/${EXTEN}@context`; `PJSIP/${EXTEN}` stays in the house.
fn destination(text: &str) -> Option<Leads> {
    let parts = split(text.trim(), '/');
    let (technology, resource) = parts.split_first()?;
    if technology.eq_ignore_ascii_case("local") {
        let (extension, context) = resource.first()?.rsplit_once('@')?;
        let leads = is_free(extension) && !context.contains('$');
        return leads.then(|| Leads::To(context.trim().to_owned(), number(extension)));
    }
    let rest = text.trim().get(technology.len() + 1..)?;
    let names_trunk = resource.len() > 1 || split(rest, '@').len() > 1;
    (names_trunk && rest.contains("${")).then(|| Leads::Out(number(rest)))
}

fn number(text: &str) -> Number {
    let Some((before, after)) = text.split_once("${EXTEN") else {
        return Number::default();
    };
    let digits: String =
        after.strip_prefix(':').unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    let prefix: String =
        before.chars().rev().take_while(|letter| letter.is_ascii_digit() || *letter == '+').collect();
    Number { strip: Some(digits.parse().unwrap_or(0)), prefix: prefix.chars().rev().collect() }
}

/// Parts between separators that are in no brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut depth = 0_i64;
    text.split(move |letter: char| {
        match letter {
            '(' | '{' | '[' => depth = depth.saturating_add(1),
            ')' | '}' | ']' => depth = (depth - 1).max(0),
            _ => {}
        }
        letter == separator && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trunks_are_told_from_phones() {
        let variables = Variables(BTreeMap::from([("TRUNK".to_owned(), "DAHDI/G2".to_owned())]));
        let out =
            |strip, prefix: &str| vec![Leads::Out(Number { strip: Some(strip), prefix: prefix.to_owned() })];
        let whole = || Number { strip: Some(0), prefix: String::new() };
        let to = |context: &str| Leads::To(context.to_owned(), Number::default());
        for (application, expected) in [
            ("Dial(PJSIP/${EXTEN},20)", vec![]),
            ("Dial(PJSIP/1000&PJSIP/1001)", vec![]),
            ("Dial(${PJSIP_DIAL_CONTACTS(${EXTEN})},20)", vec![]),
            ("Dial(PJSIP/${EXTEN:1}@carrier,60,L(1000))", out(1, "")),
            ("Dial(PJSIP/carrier/sip:+${EXTEN:2}@sip.example.com)", out(2, "+")),
            ("Dial(SIP/carrier/${EXTEN})", out(0, "")),
            ("Dial(${TRUNK}/${EXTEN})", out(0, "")),
            ("Dial(${GLOBAL(TRUNK)}/${FILTER(0-9,${EXTEN:1})})", out(1, "")),
            ("Dial(PJSIP/112@carrier)", vec![]),
            ("Dial(PJSIP/${NUMBER}@carrier)", vec![Leads::Out(Number::default())]),
            ("Macro(dialout-trunk,1,${EXTEN:1},,off)", out(1, "")),
            ("Macro(stdexten,1000)", vec![to("macro-stdexten")]),
            ("Goto(outside,${EXTEN},1)", vec![Leads::To("outside".to_owned(), whole())]),
            ("Goto(here)", vec![]),
            ("Goto(ext-group,600,1)", vec![]),
            ("GotoIf($[\"${X}\" = \"1\"]?a,s,1:b,s,1)", vec![to("a"), to("b")]),
            ("ExecIf($[1]?Dial(SIP/c/${EXTEN}):NoOp())", out(0, "")),
            ("Dial(Local/${EXTEN}@outside/n)", vec![Leads::To("outside".to_owned(), whole())]),
            ("Authenticate(/etc/pins)", vec![Leads::Pin]),
        ] {
            assert_eq!(leads(application, &variables), expected, "{application}");
        }
    }
}
