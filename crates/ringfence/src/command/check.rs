//! `ringfence check POLICY`

use std::io::{self, Write as _};
use std::process::ExitCode;

use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};
use policy::{Language, Policy};
use serde_json::json;

use crate::cli::{CheckArgs, Format};
use crate::command::read_policy;
use crate::daemon::logs;
use crate::exit::{Exit, draw};

/// Says whether the policy is right, and whether `run` can enforce all of it.
pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode, Exit> {
    let policy = read_policy(&args.policy)?;
    let plan = Plan::new(&policy, Mode::Enforce, Tag::default());
    let jails = logs::prepare(&policy);
    let unfit = match jails {
        Ok(_) | Err(Exit::Policy(_) | Exit::Silent) => None,
        Err(Exit::No(text) | Exit::System(text)) => Some(text),
    };
    let mut out = io::stdout().lock();
    match args.format {
        Format::Text => {
            write!(io::stderr(), "{}", draw(policy.warnings()))?;
            writeln!(out, "{}: {}", args.policy.display(), summary(&policy))?;
            match &plan {
                Ok(_) if unfit.is_some() => {
                    writeln!(out, "`run` would refuse it: {}", unfit.as_deref().unwrap_or_default())?;
                }
                Ok(plan) => writeln!(out, "{}", enforcement(plan))?,
                Err(reasons) => {
                    writeln!(
                        out,
                        "`replay` can judge it; `run` would refuse it, because not all of it can be enforced exactly:"
                    )?;
                    write!(out, "{}", draw(reasons))?;
                }
            }
        }
        Format::Json => {
            let refused = plan.as_ref().err().map_or(&[][..], Vec::as_slice);
            let refused: Vec<_> = refused
                .iter()
                .map(|reason| json!({ "line": reason.line(), "message": reason.message(), "help": reason.help() }))
                .collect();
            let answer = json!({
                "type": "check",
                "policy": args.policy.display().to_string(),
                "rules": rules(&policy),
                "enforceable": plan.is_ok() && unfit.is_none(),
                "jails": unfit,
                "refused": refused,
            });
            writeln!(out, "{answer}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rules(policy: &Policy) -> usize {
    policy.sets().iter().flat_map(|set| &set.chains).map(|chain| chain.rules.len()).sum()
}

fn summary(policy: &Policy) -> String {
    let language = match policy.language() {
        Language::Iptables => "iptables-save",
        Language::Toml => "TOML",
    };
    let chains: usize = policy.sets().iter().map(|set| set.chains.len()).sum();
    format!("a good {language} policy with {} rules in {chains} chains", rules(policy))
}

fn enforcement(plan: &Plan) -> String {
    let gate = &plan.gate;
    if gate.signatures.is_empty() {
        return "`run` enforces all of it through nftables; it has no signatures".to_owned();
    }
    format!(
        "`run` enforces all of it: {} signatures in the gate ({} automaton states, {} guarded ports), the rest in nftables",
        gate.signatures.len(),
        gate.tables.states,
        gate.tables.ports.len(),
    )
}
