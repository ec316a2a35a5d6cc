//! extensions.conf: which contexts there are, what leads from one to another, and where calls leave the house.

mod application;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pattern;
use crate::conf::{Config, Entry, Place};
use application::{Leads, Number, Variables};

/// Contexts that are looked through from one start.
const MAX_CONTEXTS: usize = 20_000;
/// Steps of all looks together.
const MAX_STEPS: usize = 5_000_000;

/// What may stand before a number so that it goes to a trunk, where it cannot be told.
const MAX_STRIP: usize = 3;

/// All contexts.
#[derive(Debug, Default)]
pub(crate) struct Dialplan {
    contexts: BTreeMap<Arc<str>, Context>,
}

#[derive(Debug, Default)]
struct Context {
    includes: Vec<Arc<str>>,
    extensions: Vec<Extension>,
}

#[derive(Debug)]
struct Extension {
    pattern: Arc<str>,
    /// Somebody has to know a number before it goes on.
    asks_for_pin: bool,
    routes: Vec<Route>,
    jumps: Vec<(Arc<str>, Number)>,
}

/// Where a number that the caller chose goes to a trunk.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) context: Arc<str>,
    pub(crate) pattern: Arc<str>,
    pub(crate) place: Place,
    number: Number,
}

impl Route {
    /// Any country can be called through it.
    pub(crate) fn is_international(&self) -> bool {
        is_far(&self.pattern, &self.number)
    }
}

impl Dialplan {
    pub(super) fn read(config: Option<&Config>) -> Self {
        let mut plan = Self::default();
        let Some(config) = config else { return plan };
        let variables = Variables::read(config);
        for section in config.real().filter(|section| !matches!(&*section.name, "general" | "globals")) {
            let context = plan.contexts.entry(Arc::clone(&section.name)).or_default();
            let mut current: Option<Arc<str>> = None;
            for entry in &section.entries {
                let parsed = match entry.key.to_ascii_lowercase().as_str() {
                    "include" => {
                        let name = entry.value.split([',', '|']).next().unwrap_or_default().trim();
                        context.includes.push(Arc::from(name));
                        continue;
                    }
                    "exten" => entry.value.split_once(',').map(|(pattern, rest)| {
                        // After the slash stands who has to call.
                        let pattern: Arc<str> =
                            Arc::from(pattern.split('/').next().unwrap_or_default().trim());
                        current = Some(Arc::clone(&pattern));
                        (pattern, rest)
                    }),
                    "same" => current.clone().map(|pattern| (pattern, &*entry.value)),
                    _ => None,
                };
                if let Some((pattern, step)) = parsed {
                    context.step(&section.name, pattern, step, entry, &variables);
                }
            }
        }
        plan
    }

    /// All places behind a context where numbers leave the house. With `far`, only those to which numbers of all countries come.
    pub(crate) fn routes(&self, start: &str, far: bool) -> Vec<&Route> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        let mut steps = 0;
        while let Some(name) = open.pop() {
            let Some(context) = self.contexts.get(name) else { continue };
            if seen.len() >= MAX_CONTEXTS || !seen.insert(name) {
                continue;
            }
            open.extend(context.includes.iter().map(|name| &**name));
            for extension in &context.extensions {
                steps += 1 + extension.routes.len() + extension.jumps.len();
                if steps > MAX_STEPS {
                    return found;
                }
                if far && extension.asks_for_pin {
                    continue;
                }
                found.extend(extension.routes.iter().filter(|route| !far || route.is_international()));
                // A jump from a pattern that no such number matches brings none there.
                let jumps =
                    extension.jumps.iter().filter(|(_, number)| !far || is_far(&extension.pattern, number));
                open.extend(jumps.map(|(name, _)| &**name));
            }
        }
        found
    }
}

/// Numbers of all countries match. Names such as `s`, to which numbers come by other ways, say nothing.
fn is_far(pattern: &str, number: &Number) -> bool {
    let strips = number.strip.map_or(0..=MAX_STRIP, |strip| strip..=strip);
    !pattern.starts_with('_')
        || strips.into_iter().any(|strip| pattern::is_international(pattern, strip, &number.prefix))
}

impl Context {
    fn step(&mut self, name: &Arc<str>, pattern: Arc<str>, step: &str, entry: &Entry, variables: &Variables) {
        let Some((priority, application)) = step.split_once(',') else { return };
        if priority.trim().eq_ignore_ascii_case("hint") {
            return;
        }
        let same = self.extensions.last().is_some_and(|extension| extension.pattern == pattern);
        if !same {
            let (asks_for_pin, routes, jumps) = (false, Vec::new(), Vec::new());
            self.extensions.push(Extension { pattern: Arc::clone(&pattern), asks_for_pin, routes, jumps });
        }
        let Some(extension) = self.extensions.last_mut() else { return };
        // Behind an extension that is a number itself, the caller chooses none.
        let is_open = pattern.starts_with('_') || &*pattern == "s";
        for leads in application::leads(application.trim(), variables) {
            match leads {
                Leads::Pin => extension.asks_for_pin = true,
                _ if !is_open => {}
                Leads::Out(number) => extension.routes.push(Route {
                    context: Arc::clone(name),
                    pattern: Arc::clone(&pattern),
                    place: entry.place.clone(),
                    number,
                }),
                Leads::To(context, number) => extension.jumps.push((Arc::from(context), number)),
            }
        }
    }
}
