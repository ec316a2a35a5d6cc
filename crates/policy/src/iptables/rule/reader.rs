//! Walks the arguments of a rule: iptables' own options here, those of matches and targets in `extension`.

use super::{Command, Context, Draft, Jump, Span, Token};
use crate::iptables::registry::TargetExtension;
use crate::iptables::values;
use crate::iptables::{is_counters, table, targets};
use crate::ruleset::Family;

pub(super) struct Reader<'r, 'c> {
    pub(super) tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    pub(super) context: &'r mut Context<'c>,
    pub(super) draft: Draft,
    /// Place of a `!` that waits for its option.
    pub(super) negated: Option<Span>,
}

impl Reader<'_, '_> {
    pub(super) fn run(&mut self) {
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
        let policy = table::policy(&name.text);
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

    pub(super) fn argument(&mut self, option: &Token) -> Option<Token> {
        let argument = self.tokens.next();
        if argument.is_none() {
            self.context.plain_error(&option.span, format!("`{}` needs a value", option.text));
        }
        argument
    }

    pub(super) fn not_negated(&mut self, token: &Token, negated: Option<&Span>) {
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
    pub(super) fn old_negation(&mut self, token: &Token) {
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
        if interface.name.is_empty() {
            // `+` is every interface, and none, which is no condition.
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
        if !is_counters(&given) {
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
}
