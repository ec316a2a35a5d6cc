//! Options of matches and targets, and what an unknown option may have been meant to be.

use super::reader::Reader;
use super::{Given, Instance, Span, Token};
use crate::diagnostic::nearest;
use crate::iptables::registry::{Extension, FOREIGN_MATCHES, MATCHES, OptionSpec, TargetExtension};

impl Reader<'_, '_> {
    pub(super) fn load(&mut self, token: &Token, negated: Option<&Span>) {
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
    pub(super) fn extension_option(&mut self, token: &Token, negated: Option<&Span>) {
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
