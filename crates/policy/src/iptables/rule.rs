//! One rule line: its arguments in order, as `do_command4` walks them.

mod extension;
mod reader;

use std::ops::Range;
use std::sync::Arc;

use self::reader::Reader;
use super::lines::{OpenQuote, TextLine, Token, tokens};
use super::registry::{Extension, OptionSpec};
use super::values::BadValue;
use super::{build, targets};
use crate::diagnostic::{Diagnostic, Source};
use crate::ruleset::{ChainPolicy, Family, InterfaceName, Match, Network, Target};

/// Where bytes stand in the file.
pub(super) type Span = Range<usize>;

/// What a line does to its table.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Append {
        chain: Token,
    },
    /// Before the rule of this 1-based number.
    Insert {
        chain: Token,
        at: usize,
    },
    Flush {
        chain: Option<Token>,
    },
    NewChain {
        chain: Token,
    },
    Policy {
        chain: Token,
        policy: ChainPolicy,
    },
    /// `-Z`: counters begin at zero anyway.
    Zero,
}

/// A rule line, understood. Lists of addresses have become several sets of conditions.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) command: Command,
    pub(super) alternatives: Vec<Vec<Match>>,
    pub(super) target: Target,
    /// `-m comment` texts.
    pub(super) comments: Vec<String>,
    /// Where the target's name stands.
    pub(super) target_span: Option<Span>,
}

/// What a rule may refer to, and where mistakes go.
pub(super) struct Context<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) family: Family,
    /// Names of the chains declared so far, in order of their ids.
    pub(super) chains: &'a [String],
    /// How many of them are built in.
    pub(super) built_in: usize,
    /// Names that the dump declares anywhere.
    pub(super) declared_later: &'a [String],
    pub(super) errors: &'a mut Vec<Diagnostic>,
    pub(super) warnings: &'a mut Vec<Diagnostic>,
}

impl Context<'_> {
    pub(super) fn error(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(Diagnostic::new(self.source, span.clone(), message).with_help(help));
    }

    pub(super) fn plain_error(&mut self, span: &Span, message: impl Into<String>) {
        self.errors.push(Diagnostic::new(self.source, span.clone(), message));
    }

    pub(super) fn warn(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.warnings
            .push(Diagnostic::new(self.source, span.clone(), message).with_help(help).into_warning());
    }

    /// The value, or the mistake recorded.
    pub(super) fn value<T>(&mut self, span: &Span, value: Result<T, BadValue>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(BadValue { message, help: Some(help) }) => {
                self.error(span, message, help);
                None
            }
            Err(BadValue { message, help: None }) => {
                self.plain_error(span, message);
                None
            }
        }
    }
}

/// An option of a match or target as the line gives it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) spec: &'static OptionSpec,
    pub(super) negated: bool,
    pub(super) span: Span,
    pub(super) arguments: Vec<Token>,
}

impl Given {
    /// The first argument, or the option itself where it takes none.
    pub(super) fn argument(&self) -> (&str, Span) {
        self.arguments
            .first()
            .map_or(("", self.span.clone()), |token| (token.text.as_str(), token.span.clone()))
    }
}

/// One `-m`, or a protocol's match that an option brought in.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) extension: Extension,
    pub(super) span: Span,
    pub(super) given: Vec<Given>,
}

/// `-j` or `-g`.
#[derive(Debug)]
pub(super) struct Jump {
    pub(super) name: Token,
    pub(super) goto: bool,
    pub(super) given: Vec<Given>,
}

/// A value with its `!`.
type Maybe<T> = Option<(T, bool)>;

/// The line as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    command: Option<(Command, Span)>,
    /// Number, `!` and place of `-p`.
    pub(super) protocol: Option<(u8, bool, Span)>,
    /// `-p` was there but could not be read: what depends on it is not judged.
    pub(super) protocol_unknown: bool,
    source: Maybe<Vec<Network>>,
    destination: Maybe<Vec<Network>>,
    in_interface: Maybe<InterfaceName>,
    out_interface: Maybe<InterfaceName>,
    fragment: Option<bool>,
    pub(super) instances: Vec<Instance>,
    pub(super) jump: Option<Jump>,
    seen: Vec<&'static str>,
    /// Something unknown was met, so that options after it may belong to it.
    poisoned: bool,
}

/// Reads one rule line of the filter table; mistakes go into the context.
pub(super) fn parse(line: TextLine<'_>, context: &mut Context<'_>) -> Option<Parsed> {
    let before = context.errors.len();
    let (text, start) = skip_counters(line, context)?;
    let tokens = match tokens(text, start) {
        Ok(tokens) => tokens,
        Err(OpenQuote(span)) => {
            context.error(&span, "this quote is never closed", "end the text with `\"` on the same line");
            return None;
        }
    };
    let mut reader =
        Reader { tokens: tokens.into_iter().peekable(), context, draft: Draft::default(), negated: None };
    reader.run();
    let draft = reader.draft;
    let Some((command, span)) = draft.command.clone() else {
        if context.errors.len() == before {
            context.error(&line.span(), "no command in this line", "a rule begins with `-A CHAIN`");
        }
        return None;
    };
    let rule = matches!(command, Command::Append { .. } | Command::Insert { .. });
    if !rule {
        let bare = draft.jump.is_none() && draft.instances.is_empty() && draft.seen.is_empty();
        if !bare {
            context.error(
                &span,
                "this command takes no conditions and no target",
                "only `-A` and `-I` make rules",
            );
        }
    }
    let parsed = finish(draft, command, context);
    (context.errors.len() == before).then_some(parsed)
}

/// `[packets:bytes]` before a rule, as `iptables-save -c` writes it.
fn skip_counters<'a>(line: TextLine<'a>, context: &mut Context<'_>) -> Option<(&'a str, usize)> {
    let Some(rest) = line.text.strip_prefix('[') else { return Some((line.text, line.start)) };
    let parsed = rest.split_once(']').filter(|(counters, _)| super::is_counters(counters));
    let Some((_, rule)) = parsed else {
        context.error(&line.span(), "unreadable counters", "write `[packets:bytes]`, or leave them out");
        return None;
    };
    Some((rule, line.start + line.text.len() - rule.len()))
}

/// Puts the conditions into the order in which the kernel checks them: the fields of the entry, then the matches.
fn finish(draft: Draft, command: Command, context: &mut Context<'_>) -> Parsed {
    refuse_impossible_interface(&draft, &command, context);
    let mut conditions = Vec::new();
    if let Some((name, negated)) = draft.in_interface.clone() {
        conditions.push(Match::InInterface { negated, name });
    }
    if let Some((name, negated)) = draft.out_interface.clone() {
        conditions.push(Match::OutInterface { negated, name });
    }
    if let Some((protocol, negated, _)) = draft.protocol.clone() {
        conditions.push(Match::Protocol { negated, protocol });
    }
    if let Some(negated) = draft.fragment {
        conditions.push(Match::Fragment { negated });
    }
    let mut comments = Vec::new();
    for instance in &draft.instances {
        if instance.extension == Extension::Comment {
            comments.extend(build::comment(instance, context));
        } else {
            conditions.extend(build::matches(instance, &draft, context));
        }
    }
    let (target, target_span) = targets::build(&draft, context);
    let addresses = addresses(&draft);
    let alternatives =
        addresses.into_iter().map(|addresses| [addresses, conditions.clone()].concat()).collect();
    Parsed { command, alternatives, target, comments, target_span }
}

/// iptables refuses `-o` in INPUT and `-i` in OUTPUT, where such a packet has none.
fn refuse_impossible_interface(draft: &Draft, command: &Command, context: &mut Context<'_>) {
    let (Command::Append { chain } | Command::Insert { chain, .. }) = command else { return };
    if chain.text == "INPUT" && draft.out_interface.is_some() {
        context.error(
            &chain.span,
            "`-o` cannot be used in INPUT",
            "a packet for this host does not leave; use `-i`",
        );
    }
    if chain.text == "OUTPUT" && draft.in_interface.is_some() {
        context.error(
            &chain.span,
            "`-i` cannot be used in OUTPUT",
            "a packet of this host did not come in; use `-o`",
        );
    }
}

/// Every combination of the listed sources and destinations, in iptables' order.
fn addresses(draft: &Draft) -> Vec<Vec<Match>> {
    let list = |maybe: &Maybe<Vec<Network>>| {
        let networks =
            maybe.iter().flat_map(|(networks, negated)| networks.iter().map(|network| (*network, *negated)));
        // `0.0.0.0/0` is every address, which is no condition; `! 0.0.0.0/0` is none.
        let mut found: Vec<Option<(Network, bool)>> = networks
            .map(|(network, negated)| (negated || network.prefix() != Some(0)).then_some((network, negated)))
            .collect();
        if found.is_empty() {
            found.push(None);
        }
        found
    };
    let (sources, destinations) = (list(&draft.source), list(&draft.destination));
    let pairs = sources
        .into_iter()
        .flat_map(|source| destinations.iter().map(move |destination| (source, *destination)));
    pairs
        .map(|(source, destination)| {
            let source = source.map(|(network, negated)| Match::Source { negated, network });
            let destination = destination.map(|(network, negated)| Match::Destination { negated, network });
            source.into_iter().chain(destination).collect()
        })
        .collect()
}
