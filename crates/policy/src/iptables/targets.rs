//! `-j` and `-g`.

use super::names;
use super::registry::{FOREIGN_TARGETS, TARGETS, TargetExtension};
use super::rule::{Context, Draft, Given, Jump, Span};
use super::values;
use crate::diagnostic::nearest;
use crate::ruleset::{ChainId, Family, Log, Nflog, RejectWith, Target};

/// The target and where it is named; mistakes go into the context.
pub(super) fn build(draft: &Draft, context: &mut Context<'_>) -> (Target, Option<Span>) {
    let Some(jump) = &draft.jump else { return (Target::Continue, None) };
    let target = if jump.goto { goto(jump, context) } else { named(jump, draft, context) };
    (target.unwrap_or(Target::Continue), Some(jump.name.span.clone()))
}

/// Whether options behind `-j NAME` are certainly not the target's own.
pub(super) fn takes_no_options(name: &str, context: &Context<'_>) -> bool {
    matches!(name, "ACCEPT" | "DROP" | "RETURN") || context.chains.iter().any(|chain| chain == name)
}

/// Whether a chain may not have this name, because `-j` would find the target first.
pub(super) fn is_target_name(name: &str) -> bool {
    TARGETS.contains(&name) || FOREIGN_TARGETS.contains(&name)
}

fn named(jump: &Jump, draft: &Draft, context: &mut Context<'_>) -> Option<Target> {
    match jump.name.text.as_str() {
        "ACCEPT" => Some(Target::Accept),
        "DROP" => Some(Target::Drop),
        "RETURN" => Some(Target::Return),
        name => match TargetExtension::by_name(name) {
            Some(TargetExtension::Log) => log(jump, context).map(Target::Log),
            Some(TargetExtension::Nflog) => nflog(jump, context).map(Target::Nflog),
            Some(TargetExtension::Reject) => reject(jump, draft, context).map(Target::Reject),
            None => chain(jump, context).map(Target::Jump),
        },
    }
}

fn goto(jump: &Jump, context: &mut Context<'_>) -> Option<Target> {
    if is_target_name(&jump.name.text) {
        let message = format!("`-g {}` is not a chain", jump.name.text);
        context.error(&jump.name.span, message, "`-g` goes to a user chain; for a target write `-j`");
        return None;
    }
    chain(jump, context).map(Target::Goto)
}

fn chain(jump: &Jump, context: &mut Context<'_>) -> Option<ChainId> {
    let name = &jump.name.text;
    let span = &jump.name.span;
    match context.chains.iter().position(|chain| chain == name) {
        Some(index) if index >= context.built_in => return Some(ChainId(index)),
        Some(_) => {
            context.error(
                span,
                format!("`{name}` is built in, no rule can go there"),
                "jump to a user chain",
            );
            return None;
        }
        None => {}
    }
    let option = if jump.goto { "-g" } else { "-j" };
    if FOREIGN_TARGETS.contains(&name.as_str()) {
        let help = "it cannot tell what this rule does, so it does not use the file; take the rule out, or write it with other targets";
        context.error(span, format!("`{option} {name}` is not supported by Ringfence"), help);
    } else if context.declared_later.contains(name) {
        let help = format!("move the line `:{name} - [0:0]` up, before the first rule");
        context.error(span, format!("chain `{name}` is declared only further down"), help);
    } else {
        let known: Vec<String> = context.chains.iter().skip(context.built_in).cloned().collect();
        let names = known.iter().map(String::as_str).chain(TARGETS.iter().copied());
        let near = nearest(name, names.clone()).or_else(|| nearest(&name.to_ascii_uppercase(), names));
        let help = match near {
            Some(near) => format!("did you mean `{near}`? a chain is declared by `:{name} - [0:0]`"),
            None => format!(
                "declare the chain by `:{name} - [0:0]` above the rules, or use one of {}",
                TARGETS.join(", ")
            ),
        };
        context.error(span, format!("`{option} {name}` is neither a target nor a chain"), help);
    }
    None
}

impl Jump {
    fn option(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.spec.names.first() == Some(&name))
    }

    fn has(&self, name: &str) -> bool {
        self.option(name).is_some()
    }
}

/// Longest `LOG` prefix: the kernel's field has 30 bytes with its end.
const LOG_PREFIX: usize = 29;
/// Longest `NFLOG` prefix.
const NFLOG_PREFIX: usize = 63;

fn log(jump: &Jump, context: &mut Context<'_>) -> Option<Log> {
    let level = match jump.option("--log-level") {
        None => 4,
        Some(given) => level(given, context)?,
    };
    Some(Log {
        level,
        prefix: prefix(jump.option("--log-prefix"), LOG_PREFIX, context)?,
        tcp_sequence: jump.has("--log-tcp-sequence"),
        tcp_options: jump.has("--log-tcp-options"),
        ip_options: jump.has("--log-ip-options"),
        uid: jump.has("--log-uid"),
        macdecode: jump.has("--log-macdecode"),
    })
}

fn level(given: &Given, context: &mut Context<'_>) -> Option<u8> {
    let (text, span) = given.argument();
    let level = values::number_in(text, 0, 7_u8).ok().or_else(|| names::log_level(text));
    if level.is_none() {
        let lower = text.to_ascii_lowercase();
        let near = nearest(&lower, names::log_levels())
            .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        let help =
            format!("{near}levels are 0 to 7, or emerg, alert, crit, error, warning, notice, info, debug");
        context.error(&span, format!("unknown log level `{text}`"), help);
    }
    level
}

/// The prefix as the kernel gets it: iptables cuts what is too long.
fn prefix(given: Option<&Given>, longest: usize, context: &mut Context<'_>) -> Option<String> {
    let Some(given) = given else { return Some(String::new()) };
    let (text, span) = given.argument();
    if text.is_empty() {
        context.error(&span, "the prefix is empty", "leave the option out");
        return None;
    }
    let kept = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= longest).last();
    let kept = kept.and_then(|end| text.get(..end)).unwrap_or_default();
    if kept.len() < text.len() {
        let help = format!("iptables cuts it to `{kept}`");
        context.warn(&span, format!("the prefix has {} bytes, more than {longest}", text.len()), help);
    }
    Some(kept.to_owned())
}

fn nflog(jump: &Jump, context: &mut Context<'_>) -> Option<Nflog> {
    if let (Some(_), Some(range)) = (jump.option("--nflog-size"), jump.option("--nflog-range")) {
        context.plain_error(&range.span, "`--nflog-size` and `--nflog-range` in one rule");
        return None;
    }
    let mut short = |name: &str| match jump.option(name) {
        None => Some(None),
        Some(given) => {
            let (text, span) = given.argument();
            context.value(&span, values::number_in(text, 0, u16::MAX)).map(Some)
        }
    };
    let (group, threshold) = (short("--nflog-group"), short("--nflog-threshold"));
    let size = match jump.option("--nflog-size").or_else(|| jump.option("--nflog-range")) {
        None => Some(None),
        Some(given) => {
            let (text, span) = given.argument();
            context.value(&span, values::number_in(text, 0, u32::MAX)).map(Some)
        }
    };
    let prefix = prefix(jump.option("--nflog-prefix"), NFLOG_PREFIX, context)?;
    Some(Nflog {
        group: group?.unwrap_or(0),
        prefix,
        size: size?,
        threshold: threshold?.filter(|count| *count > 0),
    })
}

fn reject(jump: &Jump, draft: &Draft, context: &mut Context<'_>) -> Option<RejectWith> {
    let Some(given) = jump.option("--reject-with") else {
        return Some(match context.family {
            Family::Ipv4 => RejectWith::IcmpPortUnreachable,
            Family::Ipv6 => RejectWith::Icmp6PortUnreachable,
        });
    };
    let (text, span) = given.argument();
    let Some(with) = names::reject(text, context.family) else {
        let (other, dump) = match context.family {
            Family::Ipv4 => (Family::Ipv6, "an IPv4"),
            Family::Ipv6 => (Family::Ipv4, "an IPv6"),
        };
        let known: Vec<_> = names::reject_types(context.family).collect();
        let near = nearest(&text.to_ascii_lowercase(), known.iter().copied());
        let (message, near) = match (names::reject(text, other), near) {
            (Some(_), _) => (format!("reject type `{text}` in {dump} dump"), String::new()),
            (None, Some(near)) => {
                (format!("unknown reject type `{text}`"), format!("did you mean `{near}`? "))
            }
            (None, None) => (format!("unknown reject type `{text}`"), String::new()),
        };
        context.error(&span, message, format!("{near}types are {}", known.join(", ")));
        return None;
    };
    let tcp = matches!(draft.protocol, Some((6, false, _))) || draft.protocol_unknown;
    if with == RejectWith::TcpReset && !tcp {
        context.error(
            &span,
            "`tcp-reset` without `-p tcp`",
            "the kernel refuses the rule; add `-p tcp`, or reject with an ICMP type",
        );
        return None;
    }
    Some(with)
}
