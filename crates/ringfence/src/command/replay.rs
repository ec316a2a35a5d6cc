//! `ringfence replay CAPTURE…`: what the policy makes of captured packets.
//!
//! Two passes: the survey finds out whose traffic it is (not needed when that was said), the second judges. The judge is pure:
//! the same frames and policy give the same records, byte for byte.

mod ahead;
mod course;
mod judge;
mod locals;
mod record;
mod survey;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use capture::Reader;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netfilter::rules::Evaluator;
use netfilter::{conntrack, rules, stack};
use policy::Policy;
use policy::ruleset::{InterfaceName, Match, RuleSet};

use crate::cli::{Checksums, ReplayArgs};
use crate::command::read_policy;
use crate::exit::{Exit, draw};
use ahead::{Asked, Read};
use judge::Judge;
pub(crate) use locals::LocalNetwork;
use locals::Locals;
use record::Writer;
use survey::Survey;

/// Judges the captures.
pub(crate) fn run(args: &ReplayArgs) -> Result<ExitCode, Exit> {
    let policy = read_policy(&args.policy)?;
    let mut err = io::stderr().lock();
    write!(err, "{}", draw(policy.warnings()))?;
    let progress = progress(args)?;
    let named = named_interfaces(policy.sets());
    // Whose traffic it is takes both processors where a capture is to be read; the rules are made ready beside that.
    let (survey, rules) = ahead::at_once(
        || look_over(args, &progress, &named),
        || Evaluator::new(policy.sets(), rules_settings()),
    )?;
    let survey = survey?;
    let locals = if args.local.is_empty() {
        let locals = survey.locals();
        progress.suspend(|| writeln!(err, "{locals}"))?;
        locals
    } else {
        Locals::given(&args.local)
    };
    let assumed = assumed_interface(args, &survey, &named)?;
    if let Some(name) = &assumed
        && args.interface.is_none()
    {
        progress.suspend(|| {
            writeln!(
                err,
                "the capture names no interface; taken for `{name}`, the only one in the policy (--interface)"
            )
        })?;
    }
    let replay = Replay {
        policy: &policy,
        settings: settings(args.checksums, &survey, &locals),
        locals,
        interface: assumed,
        all: args.all,
        progress: &progress,
    };
    let out = Writer::new(BufWriter::new(io::stdout().lock()), args.format);
    replay.judge(args, rules, out, &mut err)?;
    Ok(ExitCode::SUCCESS)
}

/// The first pass, as far as it is needed.
fn look_over(args: &ReplayArgs, progress: &ProgressBar, named: &[InterfaceName]) -> Result<Survey, Exit> {
    let needs_survey = args.local.is_empty()
        || args.checksums == Checksums::Auto
        || (args.interface.is_none() && !named.is_empty());
    let only_checksums = !args.local.is_empty() && (args.interface.is_some() || named.is_empty());
    let mut survey = if only_checksums { Survey::of_checksums() } else { Survey::default() };
    if !needs_survey {
        return Ok(survey);
    }
    let nobody = Locals::given(&[]);
    let asked = Asked { ports: None, locals: &nobody, interface: None, flows: None };
    for path in &args.captures {
        let mut reader = open(path, progress)?;
        ahead::frames(&mut reader, asked, |read| {
            if let Read::Whole(prepared, _) = read {
                survey.see(prepared);
            }
            let knows_enough = only_checksums && survey.knows_checksums();
            Ok(if knows_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    Ok(survey)
}

/// What the second pass needs.
struct Replay<'a> {
    policy: &'a Policy,
    settings: stack::Settings,
    locals: Locals,
    interface: Option<String>,
    all: bool,
    progress: &'a ProgressBar,
}

impl Replay<'_> {
    fn judge(
        &self,
        args: &ReplayArgs,
        rules: Evaluator,
        mut out: Writer<impl Write>,
        err: &mut impl Write,
    ) -> Result<(), Exit> {
        let fresh = || Judge::new(self.policy, self.settings, &self.locals, self.all);
        let mut judge = Judge::with_rules(rules, self.policy, self.settings, &self.locals, self.all);
        let mut summary = record::Summary::default();
        // Only of what is tracked is the flow enough, and only where nobody wants to see what was accepted.
        let may_pass = !self.all && self.policy.sets().iter().any(RuleSet::needs_conntrack);
        for path in &args.captures {
            let mut reader = open(path, self.progress)?;
            let name = path.display().to_string();
            let mut is_first = true;
            let asked = Asked {
                ports: Some(&self.policy.detection().ports),
                locals: &self.locals,
                interface: self.interface.as_deref(),
                flows: may_pass.then_some(&self.settings),
            };
            ahead::frames(&mut reader, asked, |read| {
                if is_first && judge.is_past(read.time()) {
                    // Time went back: another story, told from its own beginning.
                    judge.end();
                    out.packets(&mut judge, &mut summary)?;
                    judge = fresh();
                }
                if is_first {
                    judge.begin(&name);
                    is_first = false;
                }
                match read {
                    Read::Whole(prepared, reading) => judge.see(prepared, reading),
                    // There is nothing to print but a number, and that comes last.
                    Read::Flow(of_flow) if judge.passes(&of_flow) => return Ok(ControlFlow::Continue(())),
                    Read::Flow(of_flow) => {
                        if let Some(prepared) = of_flow.whole() {
                            judge.see(&prepared, None);
                        }
                    }
                }
                out.packets(&mut judge, &mut summary)?;
                Ok(ControlFlow::Continue(()))
            })?;
            if is_first {
                judge.begin(&name);
            }
            for problem in reader.take_problems() {
                judge.problem(&name, problem);
            }
            out.packets(&mut judge, &mut summary)?;
            let problems = judge.take_problems();
            self.progress.suspend(|| problems.iter().try_for_each(|problem| writeln!(err, "{problem}")))?;
        }
        judge.end();
        out.packets(&mut judge, &mut summary)?;
        self.progress.finish_and_clear();
        out.summary(&summary)?;
        Ok(())
    }
}

/// A bar over the bytes of all captures, on a terminal only.
fn progress(args: &ReplayArgs) -> Result<ProgressBar, Exit> {
    let mut bytes = 0;
    for path in &args.captures {
        bytes += std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    }
    let passes = if args.local.is_empty() { 2 } else { 1 };
    // Verdicts on the same terminal show progress enough.
    if !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bar = ProgressBar::with_draw_target(Some(bytes * passes), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}% {bytes_per_sec}, {eta} left") {
        bar.set_style(style);
    }
    Ok(bar)
}

fn open<'a>(path: &Path, progress: &'a ProgressBar) -> Result<Reader<'a>, Exit> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let file = progress.wrap_read(file);
    Reader::new(file).map_err(|error| match error {
        capture::Error::Io(error) => unreadable(path, &error),
        capture::Error::Empty | capture::Error::Format { .. } => {
            Exit::No(format!("{}: {error}", path.display()))
        }
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Exit {
    Exit::No(format!("cannot read {}: {error}", path.display()))
}

/// Interfaces that rules name, other than `lo`, which is told from the addresses.
fn named_interfaces(sets: &[RuleSet]) -> Vec<InterfaceName> {
    let rules = sets.iter().flat_map(|set| &set.chains).flat_map(|chain| &chain.rules);
    let mut names: Vec<InterfaceName> = Vec::new();
    for condition in rules.flat_map(|rule| &rule.matches) {
        let (Match::InInterface { name, .. } | Match::OutInterface { name, .. }) = condition else {
            continue;
        };
        let is_loopback = !name.prefix && name.name == "lo";
        let is_any = name.prefix && name.name.is_empty();
        if !is_loopback && !is_any && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The interface of frames for which the capture names none. If rules ask, one must be known: the only one that they name is
/// a safe guess, among several there is none.
fn assumed_interface(
    args: &ReplayArgs,
    survey: &Survey,
    named: &[InterfaceName],
) -> Result<Option<String>, Exit> {
    if args.interface.is_some() || survey.all_named() {
        return Ok(args.interface.clone());
    }
    match named {
        [] => Ok(None),
        [only] if only.prefix => Ok(Some(format!("{}0", only.name))),
        [only] => Ok(Some(only.name.clone())),
        [_, _, ..] => {
            let list: Vec<String> = named.iter().map(|name| format!("`{}`", shown(name))).collect();
            Err(Exit::No(format!(
                "the policy tells interfaces apart ({}) but the capture names none; say which one it is of with --interface NAME",
                list.join(", ")
            )))
        }
    }
}

fn shown(name: &InterfaceName) -> String {
    format!("{}{}", name.name, if name.prefix { "+" } else { "" })
}

fn settings(checksums: Checksums, survey: &Survey, locals: &Locals) -> stack::Settings {
    let verify = match checksums {
        Checksums::Auto => survey.checksums_are_real(locals),
        Checksums::Verify => true,
        Checksums::Ignore => false,
    };
    let conntrack = conntrack::Settings { checksums: verify, ..conntrack::Settings::default() };
    stack::Settings { conntrack, rules: rules_settings(), ..stack::Settings::default() }
}

/// They do not depend on what the survey finds.
fn rules_settings() -> rules::Settings {
    rules::Settings::default()
}

/// Capture time as RFC 3339: microseconds, or nanoseconds where the capture has them.
pub(crate) fn rfc3339(time: Duration) -> String {
    let digits = if time.subsec_nanos().is_multiple_of(1000) { 6 } else { 9 };
    let stamp =
        jiff::SignedDuration::try_from(time).ok().and_then(|time| jiff::Timestamp::from_duration(time).ok());
    // A stamp beyond the year 9999 is no time.
    stamp.map_or_else(|| "9999-12-31T23:59:59.999999Z".to_owned(), |stamp| format!("{stamp:.digits$}"))
}

#[cfg(test)]
mod tests;
