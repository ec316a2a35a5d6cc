//! One rule line: its arguments in order, as `do_command4` walks them.

use std::ops::Range;
use std::sync::Arc;

use super::lines::{OpenQuote, TextLine, Token, tokens};
use super::registry::{Extension, FOREIGN_MATCHES, MATCHES, OptionSpec, TargetExtension};
use super::values::{self, BadValue};
use super::{build, targets};
use crate::diagnostic::{Diagnostic, Source, nearest};
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

struct Reader<'r, 'c> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    context: &'r mut Context<'c>,
    draft: Draft,
    /// Place of a `!` that waits for its option.
    negated: Option<Span>,
}

impl Reader<'_, '_> {
    fn run(&mut self) {
        while let Some(token) = self.tokens.next() {
            if token.text == "!" {
                if self.negated.replace(token.span.clone()).is_some() {
                    self.context.plain_error(&token.span, "two `!` in a row");
                }
                continue;
            }
            if !token.text.starts_with('-') || token.text.len() < 2 {
                self.stray(&token);
                continue;
            }
            let negated = self.negated.take();
            if !self.generic(&token, negated.as_ref()) {
                self.extension_option(&token, negated.as_ref());
            }
        }
        if let Some(span) = self.negated.take() {
            self.context.plain_error(&span, "`!` at the end, where no option follows");
        }
    }

    fn stray(&mut self, token: &Token) {
        if self.draft.poisoned {
            return;
        }
        self.draft.poisoned = true;
        let text = &token.text;
        if self.negated.take().is_some() {
            let help = "`!` stands before its option: `! -s ADDRESS`, not `-s ! ADDRESS`";
            self.context.error(&token.span, format!("`{text}` after `!` is not an option"), help);
            return;
        }
        let help = if text.starts_with('#') {
            "a comment has a line of its own, with `#` as its first character; inside a rule use `-m comment --comment`"
        } else if text.starts_with('\'') || text.ends_with('\'') {
            "iptables-restore knows only double quotes"
        } else {
            "a value belongs behind its option; text with blanks needs double quotes"
        };
        self.context.error(&token.span, format!("unexpected argument `{text}`"), help);
    }

    /// Options of iptables itself; false when the token is none of them.
    fn generic(&mut self, token: &Token, negated: Option<&Span>) -> bool {
        match token.text.as_str() {
            "-A" | "--append" => self.command(token, negated, |reader| {
                let chain = reader.argument(token)?;
                Some(Command::Append { chain })
            }),
            "-I" | "--insert" => self.command(token, negated, Self::insert(token)),
            "-N" | "--new-chain" | "--new" => self.command(token, negated, |reader| {
                let chain = reader.argument(token)?;
                Some(Command::NewChain { chain })
            }),
            "-P" | "--policy" => self.command(token, negated, |reader| reader.policy(token)),
            "-F" | "--flush" => self.command(token, negated, |reader| {
                let chain = reader.tokens.next_if(|next| !next.text.starts_with(['-', '!']));
                Some(Command::Flush { chain })
            }),
            "-Z" | "--zero" => self.command(token, negated, |reader| {
                reader.tokens.next_if(|next| !next.text.starts_with(['-', '!']));
                Some(Command::Zero)
            }),
            "-p" | "--protocol" | "--proto" => self.protocol(token, negated),
            "-s" | "--source" | "--src" => self.address(token, "-s", negated),
            "-d" | "--destination" | "--dst" => self.address(token, "-d", negated),
            "-i" | "--in-interface" => self.interface(token, "-i", negated),
            "-o" | "--out-interface" => self.interface(token, "-o", negated),
            "-f" | "--fragment" | "--fragments" if self.context.family == Family::Ipv4 => {
                if self.once(token, "-f") {
                    self.draft.fragment = Some(negated.is_some());
                }
            }
            "-j" | "--jump" => self.jump(token, false, negated),
            "-g" | "--goto" => self.jump(token, true, negated),
            "-m" | "--match" => self.load(token, negated),
            "-c" | "--set-counters" => self.counters(token, negated),
            "-4" | "--ipv4" => self.family(token, Family::Ipv4),
            "-6" | "--ipv6" => self.family(token, Family::Ipv6),
            "-t" | "--table" => {
                self.argument(token);
                let help = "put the rule under its table's `*NAME` line";
                self.context.error(
                    &token.span,
                    format!("`{}` cannot be used in a rule file", token.text),
                    help,
                );
            }
            other => return self.refused_command(token, other),
        }
        true
    }

    fn refused_command(&mut self, token: &Token, text: &str) -> bool {
        let refused = matches!(
            text,
            "-D" | "--delete"
                | "-R"
                | "--replace"
                | "-X"
                | "--delete-chain"
                | "-E"
                | "--rename-chain"
                | "-C"
                | "--check"
                | "-L"
                | "--list"
                | "-S"
                | "--list-rules"
        );
        if refused {
            let help = "a policy is read whole: write only the rules and chains that shall stand";
            self.context.error(
                &token.span,
                format!("`{text}` changes or shows rules that are already loaded"),
                help,
            );
            self.draft.poisoned = true;
        }
        refused
    }

    fn insert(option: &Token) -> impl FnOnce(&mut Self) -> Option<Command> {
        let option = option.clone();
        move |reader| {
            let chain = reader.argument(&option)?;
            let number = reader.tokens.next_if(|next| !next.text.starts_with(['-', '!']));
            let at = match &number {
                None => 1,
                Some(token) => {
                    reader.context.value(&token.span, values::number_in(&token.text, 1, u32::MAX))?
                }
            };
            Some(Command::Insert { chain, at: usize::try_from(at).unwrap_or(usize::MAX) })
        }
    }

    fn policy(&mut self, option: &Token) -> Option<Command> {
        let chain = self.argument(option)?;
        let name = self.argument(option)?;
        let policy = super::table::policy(&name.text);
        if policy.is_none() {
            let message = format!("`{}` is not a policy", name.text);
            self.context.error(&name.span, message, "a policy is `ACCEPT` or `DROP`");
        }
        Some(Command::Policy { chain, policy: policy? })
    }

    fn command(
        &mut self,
        token: &Token,
        negated: Option<&Span>,
        read: impl FnOnce(&mut Self) -> Option<Command>,
    ) {
        self.not_negated(token, negated);
        let command = read(self);
        if self.draft.command.is_some() {
            self.context.plain_error(&token.span, "a second command in one line");
            return;
        }
        self.draft.command = command.map(|command| (command, token.span.clone()));
    }

    fn argument(&mut self, option: &Token) -> Option<Token> {
        let argument = self.tokens.next();
        if argument.is_none() {
            self.context.plain_error(&option.span, format!("`{}` needs a value", option.text));
        }
        argument
    }

    fn not_negated(&mut self, token: &Token, negated: Option<&Span>) {
        if let Some(span) = negated {
            self.context.plain_error(span, format!("`!` cannot stand before `{}`", token.text));
        }
    }

    /// Records a generic option and refuses it the second time.
    fn once(&mut self, token: &Token, name: &'static str) -> bool {
        if self.draft.seen.contains(&name) {
            let help = "write one rule for each, or a list where the option takes one";
            self.context.error(&token.span, format!("`{name}` is given twice"), help);
            return false;
        }
        self.draft.seen.push(name);
        true
    }

    fn protocol(&mut self, token: &Token, negated: Option<&Span>) {
        let Some(argument) = self.argument(token) else { return };
        let protocol = self.context.value(&argument.span, values::protocol(&argument.text));
        if !self.once(token, "-p") {
            return;
        }
        match protocol {
            None => self.draft.protocol_unknown = true,
            Some(0) if negated.is_some() => {
                self.context.plain_error(&argument.span, "`! -p all` never matches");
            }
            // 0 is every protocol, which is no condition.
            Some(0) => {}
            Some(protocol) => self.draft.protocol = Some((protocol, negated.is_some(), argument.span)),
        }
    }

    fn address(&mut self, token: &Token, name: &'static str, negated: Option<&Span>) {
        let Some(argument) = self.argument(token) else { return };
        if argument.text == "!" {
            self.old_negation(token);
            return;
        }
        let networks =
            self.context.value(&argument.span, values::networks(&argument.text, self.context.family));
        let (Some(networks), true) = (networks, self.once(token, name)) else { return };
        if negated.is_some() && networks.len() > 1 {
            let help = "`! -s A,B` is refused by iptables, which could not say what it means; write rules that RETURN or jump";
            self.context.error(&argument.span, format!("`!` before `{name}` with a list"), help);
            return;
        }
        let value = Some((networks, negated.is_some()));
        if name == "-s" { self.draft.source = value } else { self.draft.destination = value }
    }

    /// `-s ! ADDRESS`, which iptables took before 1.4.3.
    fn old_negation(&mut self, token: &Token) {
        let value = self.tokens.next();
        let end = value.as_ref().map_or(token.span.end, |value| value.span.end);
        let shown = value.map_or_else(|| "VALUE".to_owned(), |value| value.text);
        let span = token.span.start..end;
        let name = &token.text;
        self.context.error(&span, format!("`!` stands behind `{name}`"), format!("write `! {name} {shown}`"));
    }

    fn interface(&mut self, token: &Token, name: &'static str, negated: Option<&Span>) {
        let Some(argument) = self.argument(token) else { return };
        if argument.text == "!" {
            self.old_negation(token);
            return;
        }
        let Some(interface) = self.context.value(&argument.span, values::interface(&argument.text)) else {
            return;
        };
        if !self.once(token, name) {
            return;
        }
        if negated.is_some() && interface.name.is_empty() {
            self.context.error(&argument.span, "`! +` never matches", "leave the rule out");
            return;
        }
        if argument.text.contains([',', '/', ' ', ':']) {
            let help = "iptables compares the whole name; write one rule for each interface, and no alias";
            self.context.warn(
                &argument.span,
                format!("`{}` is hardly the name of an interface", argument.text),
                help,
            );
        }
        let value = Some((interface, negated.is_some()));
        if name == "-i" { self.draft.in_interface = value } else { self.draft.out_interface = value }
    }

    fn jump(&mut self, token: &Token, goto: bool, negated: Option<&Span>) {
        self.not_negated(token, negated);
        let Some(name) = self.argument(token) else { return };
        if self.once(token, "-j") {
            let known = goto || TargetExtension::by_name(&name.text).is_some();
            // Options behind an unknown target are its own.
            self.draft.poisoned |= !known && !targets::takes_no_options(&name.text, self.context);
            self.draft.jump = Some(Jump { name, goto, given: Vec::new() });
        }
    }

    fn counters(&mut self, token: &Token, negated: Option<&Span>) {
        self.not_negated(token, negated);
        let Some(packets) = self.argument(token) else { return };
        let given = match packets.text.split_once(',') {
            Some((packets, bytes)) => format!("{packets}:{bytes}"),
            None => match self.argument(token) {
                Some(bytes) => format!("{}:{}", packets.text, bytes.text),
                None => return,
            },
        };
        if !super::is_counters(&given) {
            self.context.error(
                &packets.span,
                "unreadable counters",
                "write `-c PACKETS BYTES`, or leave them out",
            );
        }
    }

    fn family(&mut self, token: &Token, family: Family) {
        if family != self.context.family {
            let help = "put the rule into a `*filter` dump of its own family";
            self.context.error(&token.span, format!("`{}` in a dump of the other family", token.text), help);
        }
    }

    fn load(&mut self, token: &Token, negated: Option<&Span>) {
        self.not_negated(token, negated);
        let Some(name) = self.argument(token) else { return };
        if let Some(extension) = Extension::by_name(&name.text, self.context.family) {
            self.draft.instances.push(Instance { extension, span: name.span, given: Vec::new() });
            return;
        }
        self.draft.poisoned = true;
        let text = &name.text;
        let message = format!("unknown match `-m {text}`");
        if FOREIGN_MATCHES.contains(&text.as_str()) {
            let message = format!("`-m {text}` is not supported by Ringfence");
            let help = "it cannot tell what this rule does, so it does not use the file; take the rule out, or write it with other matches";
            self.context.error(&name.span, message, help);
        } else if text == "udplite" {
            let help = "iptables has no such match; UDP-Lite ports are matched by `-p udplite -m multiport --dports`";
            self.context.error(&name.span, message, help);
        } else if matches!(text.as_str(), "icmp" | "icmp6" | "icmpv6") {
            let help =
                "IPv4 has `-m icmp`, IPv6 has `-m icmp6`; give each family a `*filter` dump of its own";
            self.context.error(&name.span, format!("`-m {text}` in a dump of the other family"), help);
        } else if let Some(near) = nearest(text, MATCHES.iter().copied()) {
            self.context.error(&name.span, message, format!("did you mean `{near}`?"));
        } else {
            self.context.error(&name.span, message, format!("Ringfence judges: {}", MATCHES.join(", ")));
        }
    }

    /// An option of a match (the one loaded last first) or of the target.
    fn extension_option(&mut self, token: &Token, negated: Option<&Span>) {
        let (name, attached) = match token.text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (token.text.as_str(), None),
        };
        let owner = self.find(name).or_else(|| {
            let extension = self.implicit(name)?;
            self.draft.instances.push(Instance { extension, span: token.span.clone(), given: Vec::new() });
            self.find(name)
        });
        let Some((owner, spec)) = owner else {
            self.unknown(token, name);
            return;
        };
        let arguments = self.option_arguments(token, spec, attached);
        if let (Some(span), false) = (negated, spec.invertible) {
            self.context.plain_error(span, format!("`!` cannot stand before `{name}`"));
        }
        if spec.unsupported {
            let help = "it cannot tell what this rule does, so it does not use the file; take the rule out, or write it with other options";
            self.context.error(&token.span, format!("`{name}` is not supported by Ringfence"), help);
            return;
        }
        let Some(arguments) = arguments else { return };
        let given = Given { spec, negated: negated.is_some(), span: token.span.clone(), arguments };
        let list = match owner {
            Owner::Instance(index) => self.draft.instances.get_mut(index).map(|instance| &mut instance.given),
            Owner::Target => self.draft.jump.as_mut().map(|jump| &mut jump.given),
        };
        let Some(list) = list else { return };
        if list.iter().any(|earlier| std::ptr::eq(earlier.spec, spec)) {
            self.context.plain_error(&given.span, format!("`{name}` is given twice"));
            return;
        }
        list.push(given);
    }

    fn option_arguments(
        &mut self,
        token: &Token,
        spec: &OptionSpec,
        attached: Option<&str>,
    ) -> Option<Vec<Token>> {
        let mut arguments = Vec::with_capacity(spec.arguments);
        if let Some(value) = attached {
            let start = token.span.end.saturating_sub(value.len());
            arguments.push(Token { text: value.to_owned(), span: start..token.span.end });
        }
        if self.tokens.peek().is_some_and(|next| next.text == "!")
            && spec.arguments > arguments.len()
            && spec.invertible
        {
            self.tokens.next();
            self.old_negation(token);
            return None;
        }
        while arguments.len() < spec.arguments {
            arguments.push(self.argument(token)?);
        }
        if arguments.len() > spec.arguments {
            self.context.plain_error(&token.span, format!("`{}` takes no value", token.text));
            return None;
        }
        Some(arguments)
    }

    fn find(&self, name: &str) -> Option<(Owner, &'static OptionSpec)> {
        let target = self.draft.jump.as_ref().and_then(|jump| TargetExtension::by_name(&jump.name.text));
        if let Some(spec) = target.and_then(|target| spec_of(target.options(), name)) {
            return Some((Owner::Target, spec));
        }
        let instances = self.draft.instances.iter().enumerate().rev();
        let mut found = instances.filter_map(|(index, instance)| {
            spec_of(instance.extension.options(), name).map(|spec| (Owner::Instance(index), spec))
        });
        found.next()
    }

    /// The match of `-p`'s protocol, if it knows the option and was not loaded by `-m`.
    fn implicit(&self, name: &str) -> Option<Extension> {
        let (protocol, _, _) = self.draft.protocol.as_ref()?;
        let extension = Extension::of_protocol(*protocol, self.context.family)?;
        let loaded = self.draft.instances.iter().any(|instance| instance.extension == extension);
        (!loaded && spec_of(extension.options(), name).is_some()).then_some(extension)
    }

    fn unknown(&mut self, token: &Token, name: &str) {
        // What follows may be this option's value.
        while self.tokens.next_if(|next| !next.text.starts_with('-') && next.text != "!").is_some() {}
        if std::mem::replace(&mut self.draft.poisoned, true) {
            return;
        }
        let message = format!("unknown option `{name}`");
        if let Some(generic) = GENERIC.iter().find(|option| is_attached(name, option)) {
            self.context.error(
                &token.span,
                message,
                format!("put a blank between `{generic}` and its value"),
            );
            return;
        }
        if token.text.contains('=') && GENERIC.contains(&name) {
            self.context.error(&token.span, message, format!("put a blank instead of `=` behind `{name}`"));
            return;
        }
        let help = self.advice(name);
        self.context.error(&token.span, message, help);
    }

    /// What an unknown option may have been meant to be.
    fn advice(&self, name: &str) -> String {
        if spec_of(Extension::Udp.options(), name).is_some() {
            return format!("`{name}` needs `-p tcp` or `-p udp` before it");
        }
        let every = MATCHES.iter().filter_map(|known| Extension::by_name(known, self.context.family));
        for extension in every {
            if spec_of(extension.options(), name).is_some() {
                let wanted = extension.name();
                let help = match extension.needs_protocol() {
                    Some((_, protocol)) => {
                        format!("`{name}` needs `-p {protocol}` before it, or `-m {wanted}`")
                    }
                    None => format!("`{name}` needs `-m {wanted}` before it"),
                };
                return help;
            }
        }
        for target in ["LOG", "NFLOG", "REJECT"] {
            if TargetExtension::by_name(target)
                .is_some_and(|target| spec_of(target.options(), name).is_some())
            {
                return format!("`{name}` needs `-j {target}` before it");
            }
        }
        let loaded = self.draft.instances.iter().flat_map(|instance| instance.extension.options());
        let protocol = self
            .draft
            .protocol
            .as_ref()
            .and_then(|(protocol, _, _)| Extension::of_protocol(*protocol, self.context.family));
        let implied = protocol.into_iter().flat_map(Extension::options);
        let target = self.draft.jump.as_ref().and_then(|jump| TargetExtension::by_name(&jump.name.text));
        let specs = loaded.chain(implied).chain(target.into_iter().flat_map(TargetExtension::options));
        let names = specs.flat_map(|spec| spec.names.iter().copied()).chain(GENERIC.iter().copied());
        let near = nearest(name, names);
        near.map_or_else(|| NO_SUCH_OPTION.to_owned(), |near| format!("did you mean `{near}`?"))
    }
}

const NO_SUCH_OPTION: &str =
    "neither iptables' own options nor those of the matches and the target in this rule have it";

/// iptables' own options, for "did you mean".
const GENERIC: &[&str] = &[
    "-A",
    "-I",
    "-N",
    "-P",
    "-p",
    "-s",
    "-d",
    "-i",
    "-o",
    "-f",
    "-j",
    "-g",
    "-m",
    "--append",
    "--insert",
    "--new-chain",
    "--policy",
    "--protocol",
    "--source",
    "--destination",
    "--in-interface",
    "--out-interface",
    "--fragment",
    "--jump",
    "--goto",
    "--match",
    "--src",
    "--dst",
    "--proto",
];

/// `-AINPUT`, `-ptcp`.
fn is_attached(text: &str, option: &str) -> bool {
    option.len() == 2 && !text.starts_with("--") && text.starts_with(option) && text.len() > 2
}

#[derive(Clone, Copy, Debug)]
enum Owner {
    Instance(usize),
    Target,
}

fn spec_of(options: &'static [OptionSpec], name: &str) -> Option<&'static OptionSpec> {
    options.iter().find(|spec| spec.names.contains(&name))
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
