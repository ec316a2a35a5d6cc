//! Every threshold, with its default and the reason for it.

use std::collections::BTreeMap;

use crate::detectors::{Kind, REGISTRY};
use crate::testimony::Jail;

/// One number that a policy may set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key in the policy.
    pub key: &'static str,
    pub default: u32,
    pub min: u32,
    pub max: u32,
    /// What it counts.
    pub unit: &'static str,
    /// Why it is what it is.
    pub reason: &'static str,
}

/// What a detector may do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Action {
    /// Its evidence counts.
    #[default]
    Ban,
    /// It only tells.
    Alert,
    /// It does not look.
    Off,
}

/// Those of the decision: keys of `[detect]` itself.
pub const DECISION: &[Setting] = &[
    Setting {
        key: "ban-seconds",
        default: 3600,
        min: 60,
        max: 31_536_000,
        unit: "seconds",
        reason: "the first ban: long enough to end a run of a tool, short enough for a mistake to heal by itself",
    },
    Setting {
        key: "ban-growth",
        default: 4,
        min: 1,
        max: 100,
        unit: "times",
        reason: "each further ban of a source is so much longer than the one before",
    },
    Setting {
        key: "ban-longest",
        default: 2_592_000,
        min: 60,
        max: 31_536_000,
        unit: "seconds",
        reason: "addresses change hands; a month is the most that they are held against anyone",
    },
    Setting {
        key: "half-life",
        default: 600,
        min: 10,
        max: 86_400,
        unit: "seconds",
        reason: "after so long half of the points are forgotten: a mistake an hour ago counts for nothing",
    },
    Setting {
        key: "threshold",
        default: 100,
        min: 10,
        max: 10_000,
        unit: "points",
        reason: "so many points ban a source; twice as many one that authenticated, half as many one that was banned before",
    },
    Setting {
        key: "limit-seconds",
        default: 600,
        min: 10,
        max: 86_400,
        unit: "seconds",
        reason: "how long a source is limited after its last evidence that may be forged",
    },
    Setting {
        key: "limit-packets",
        default: 6,
        min: 1,
        max: 1000,
        unit: "packets a minute",
        reason: "the trickle: a phone needs two packets to authenticate, and a list of extensions thousands",
    },
    Setting {
        key: "limit-burst",
        default: 4,
        min: 1,
        max: 1000,
        unit: "packets",
        reason: "come at once before the trickle: one phone's whole authentication",
    },
    Setting {
        key: "credit-hours",
        default: 24,
        min: 1,
        max: 720,
        unit: "hours",
        reason: "how long a success is remembered: over a night's outage, not over a change of tenants",
    },
];

/// The values in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Whether bans and limits are put in force. Without, evidence and alerts are told all the same.
    pub enforce: bool,
    /// Names that requests must be addressed to; empty for any.
    pub domains: Vec<String>,
    /// What is counted in logs.
    pub jails: Vec<Jail>,
    values: BTreeMap<(&'static str, &'static str), u32>,
    actions: BTreeMap<&'static str, Action>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enforce: true,
            domains: Vec::new(),
            jails: Vec::new(),
            values: BTreeMap::new(),
            actions: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The defaults, with nothing put in force.
    #[must_use]
    pub fn telling() -> Self {
        Self { enforce: false, ..Self::default() }
    }

    /// Sets a value of `[detect]`, or of a detector. `None` if there is no such key, or the value is out of its range; then
    /// nothing is changed.
    pub fn set(&mut self, detector: Option<Kind>, key: &str, value: u32) -> Option<()> {
        let (group, settings) = group(detector);
        let setting = settings.iter().find(|setting| setting.key == key)?;
        if !(setting.min..=setting.max).contains(&value) {
            return None;
        }
        if value == setting.default {
            self.values.remove(&(group, setting.key));
        } else {
            self.values.insert((group, setting.key), value);
        }
        Some(())
    }

    pub fn set_action(&mut self, detector: Kind, action: Action) {
        if action == Action::Ban {
            self.actions.remove(detector.as_str());
        } else {
            self.actions.insert(detector.as_str(), action);
        }
    }

    #[must_use]
    pub fn action(&self, detector: Kind) -> Action {
        self.actions.get(detector.as_str()).copied().unwrap_or_default()
    }

    /// The value, or its default; 0 for a key that does not exist, which a test rules out.
    #[must_use]
    pub fn get(&self, detector: Option<Kind>, key: &'static str) -> u32 {
        let (group, settings) = group(detector);
        let default =
            || settings.iter().find(|setting| setting.key == key).map_or(0, |setting| setting.default);
        self.values.get(&(group, key)).copied().unwrap_or_else(default)
    }

    #[expect(clippy::cast_precision_loss, reason = "thresholds are small")]
    pub(crate) fn points(&self, detector: Kind, key: &'static str) -> f32 {
        self.get(Some(detector), key) as f32
    }
}

fn group(detector: Option<Kind>) -> (&'static str, &'static [Setting]) {
    let Some(kind) = detector else { return ("", DECISION) };
    let settings = REGISTRY.iter().find(|one| one.kind == kind).map_or(&[] as &[Setting], |one| one.settings);
    (kind.as_str(), settings)
}
