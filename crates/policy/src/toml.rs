//! The policy language that people write by hand: text to checked rule sets.
//!
//! ```text
//! text ─► File (as written, all optional) ─► Config (checked, defaults filled in) ─► RuleSets, one per family
//! ```
//!
//! Packets to this host meet, in this order: loopback is accepted; trusted networks are accepted; blocked networks are
//! dropped; packets to services with `inspect` are searched for signatures; known connections are accepted; then ICMP,
//! the limits and the services; `default` decides about the rest. A table or list that is written replaces the shipped
//! one whole, so what is open can be read in the file.

mod compile;
mod config;
mod defaults;
mod file;
mod reader;
mod values;

use std::sync::Arc;

pub use config::{Action, Config, Icmp, LogConfig, Place, Search, Service, Signature, Sources};

use crate::detection::Detection;
use crate::diagnostic::{Diagnostic, Source};
use crate::feed::Feed;
use crate::jail::Jail;
use crate::ruleset::{Networks, RuleSet, Unproven};
use crate::sensor::{Hep, Manager};
use crate::watch::{EventFiles, Metrics};

/// A policy in TOML, checked and compiled.
#[derive(Clone, Debug)]
pub struct TomlPolicy {
    /// For IPv4 and for IPv6.
    pub sets: [RuleSet; 2],
    pub networks: Networks,
    /// DNS names that are never banned.
    pub trusted_names: Vec<String>,
    pub services: Vec<Service>,
    pub default: Action,
    pub unproven: Unproven,
    pub detection: Detection,
    pub feeds: Vec<Feed>,
    pub jails: Vec<Jail>,
    pub managers: Vec<Manager>,
    pub hep: Option<Hep>,
    pub metrics: Option<Metrics>,
    pub events: EventFiles,
    /// Places where the policy stands but hardly does what its author meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a policy in TOML. On failure every mistake is named, in the order of lines.
pub fn parse(source: &Arc<Source>) -> Result<TomlPolicy, Vec<Diagnostic>> {
    let (config, warnings) = config(source)?;
    let sets = compile::rule_sets(&config);
    Ok(TomlPolicy {
        sets,
        networks: config.networks(),
        trusted_names: config.trusted_names.clone(),
        services: config.services.clone(),
        default: config.default.0,
        unproven: config.unproven,
        detection: config.detection(),
        feeds: config.feeds,
        jails: config.jails,
        managers: config.managers,
        hep: config.hep,
        metrics: config.metrics,
        events: config.events,
        warnings,
    })
}

/// The checked configuration, with all defaults filled in, and the warnings.
pub fn config(source: &Arc<Source>) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut reader = reader::Reader::new(source);
    let config = file::read(&mut reader).map(|file| config::check(file, &mut reader));
    let (mut errors, mut warnings) = reader.finish();
    warnings.sort_by_key(|warning| warning.span().start);
    match config {
        Some(config) if errors.is_empty() => Ok((config, warnings)),
        Some(_) | None => {
            errors.sort_by_key(|error| error.span().start);
            Err(errors)
        }
    }
}

#[cfg(test)]
mod tests;
