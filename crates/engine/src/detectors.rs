//! What attackers do, one file each. The registry is the one source for documentation, the policy's keys, the command line and
//! metric labels.

pub(crate) mod account_change;
pub(crate) mod bare_ip;
pub(crate) mod enumeration;
pub(crate) mod flood;
pub(crate) mod injection;
pub(crate) mod invite_replay;
pub(crate) mod jail;
pub(crate) mod low_and_slow;
pub(crate) mod malformed;
pub(crate) mod password_guessing;
pub(crate) mod refusal;
pub(crate) mod scanning;
pub(crate) mod silent_connection;
pub(crate) mod toll_fraud;
pub(crate) mod tool_fingerprint;

use std::net::SocketAddr;

use sip::{Message, Method, View};

use crate::command::Class;
use crate::hash::Salt;
use crate::settings::{Action, Setting, Settings};
use crate::source::Source;
use crate::time::Tick;
use crate::transaction::Transaction;

macro_rules! kinds {
    ($($variant:ident $name:literal)*) => {
        /// Which detector.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Kind {
            /// All of them, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its name in the policy, JSON, logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    AccountChange "account-change"
    BareIp "bare-ip"
    Enumeration "enumeration"
    Flood "flood"
    Injection "injection"
    InviteReplay "invite-replay"
    Jail "jail"
    LowAndSlow "low-and-slow"
    Malformed "malformed"
    PasswordGuessing "password-guessing"
    Refusal "refusal"
    Scanning "scanning"
    SilentConnection "silent-connection"
    TollFraud "toll-fraud"
    ToolFingerprint "tool-fingerprint"
}

/// What people read about a detector.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    pub kind: Kind,
    /// One line.
    pub summary: &'static str,
    /// What it sees, and whom it spares.
    pub description: &'static str,
    pub settings: &'static [Setting],
}

/// All detectors, by name.
pub const REGISTRY: &[Detector] = &[
    account_change::DETECTOR,
    bare_ip::DETECTOR,
    enumeration::DETECTOR,
    flood::DETECTOR,
    injection::DETECTOR,
    invite_replay::DETECTOR,
    jail::DETECTOR,
    low_and_slow::DETECTOR,
    malformed::DETECTOR,
    password_guessing::DETECTOR,
    refusal::DETECTOR,
    scanning::DETECTOR,
    silent_connection::DETECTOR,
    toll_fraud::DETECTOR,
    tool_fingerprint::DETECTOR,
];

/// Where and when something was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) now: Tick,
    pub(crate) class: Class,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The peer completed a TCP handshake.
    pub(crate) over_tcp: bool,
    pub(crate) salt: Salt,
}

/// A message from a peer.
#[derive(Debug)]
pub(crate) struct Request<'m, 'a> {
    pub(crate) view: &'m View<'a>,
    pub(crate) message: &'m Message<'a>,
    pub(crate) method: Method,
    /// The user that is asked for: of To in REGISTER, else of the Request-URI.
    pub(crate) target: Option<&'a [u8]>,
    /// Its hash; 0 if there is none.
    pub(crate) target_hash: u64,
    /// It has credentials, with a nonce that was sent to this very address.
    pub(crate) answers_challenge: bool,
    /// A call whose caller is a telephone number, or withheld: so come those of a carrier.
    pub(crate) is_from_network: bool,
    /// It was dropped on its way, so nobody can answer it.
    pub(crate) is_dropped: bool,
    /// Nobody but the owner of the address can have sent it.
    pub(crate) is_proof: bool,
    /// Begins a dialog or stands alone: no To tag.
    pub(crate) is_initial: bool,
    /// Of a dialog that we answered: it has our To tag.
    pub(crate) is_in_dialog: bool,
    /// Different accounts that this TCP connection asked for; none before a challenge of ours was received on it.
    pub(crate) accounts_on_connection: u32,
    /// Hash of the Call-ID.
    pub(crate) call: u64,
    /// See [`Transaction`].
    pub(crate) earns_credit: bool,
}

/// Our final answer to a peer's request, the first time.
#[derive(Debug)]
pub(crate) struct Answer<'m, 'a> {
    pub(crate) message: &'m Message<'a>,
    pub(crate) status: u16,
    pub(crate) request: &'m mut Transaction,
}

impl Answer<'_, '_> {
    /// The credentials were refused: asked for again although the nonce was good, or forbidden.
    pub(crate) fn refuses_credentials(&self, class: Class) -> bool {
        let stale = self.message.challenge.as_ref().is_some_and(|challenge| challenge.stale);
        let refused = match self.status {
            401 | 407 => !stale,
            // Of an INVITE it may be the number that is forbidden.
            403 => self.request.method != Method::Invite || class < Class::Credited,
            _ => false,
        };
        refused && self.request.has_credentials
    }

    /// The PBX judged the password. It asks again whoever brings a nonce that it did not give him: a phone that still has one
    /// from before a restart, or from another network.
    pub(crate) fn judges_credentials(&self) -> bool {
        self.request.answers_challenge || self.status == 403
    }
}

/// What one detector says about one event.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) points: f32,
    pub(crate) is_proof: bool,
    /// An alert, not evidence.
    pub(crate) is_alert: bool,
    /// Counts for certain when the sender acknowledges our answer.
    pub(crate) awaits_proof: bool,
    /// Absent where so much was told already that one more sentence helps nobody.
    pub(crate) text: Option<String>,
}

/// What all detectors say about one event.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

/// Evidence of one kind that is told of each source; then every doubling.
const TOLD: u16 = 64;

impl Findings {
    pub(crate) fn add(
        &mut self,
        source: &mut Source,
        kind: Kind,
        points: f32,
        is_proof: bool,
        text: impl FnOnce() -> String,
    ) {
        let told = is_told(source, kind);
        let text = told.then(text);
        self.0.push(Finding { kind, points, is_proof, is_alert: false, awaits_proof: !is_proof, text });
    }

    /// What was found last may have an innocent cause, whoever sent it.
    pub(crate) fn doubt(&mut self) {
        if let Some(finding) = self.0.last_mut() {
            finding.is_proof = false;
            finding.awaits_proof = false;
        }
    }

    /// What was told already is certain now.
    pub(crate) fn prove(&mut self, kind: Kind, points: f32) {
        self.0.push(Finding {
            kind,
            points,
            is_proof: true,
            is_alert: false,
            awaits_proof: false,
            text: None,
        });
    }

    pub(crate) fn alert(&mut self, source: &mut Source, kind: Kind, text: impl FnOnce() -> String) {
        if is_told(source, kind) {
            let text = Some(text());
            self.0.push(Finding {
                kind,
                points: 0.0,
                is_proof: false,
                is_alert: true,
                awaits_proof: false,
                text,
            });
        }
    }
}

fn is_told(source: &mut Source, kind: Kind) -> bool {
    let Some(count) = source.reports.get_mut(kind as usize) else { return false };
    *count = count.saturating_add(1);
    *count <= TOLD || count.is_power_of_two()
}

/// One detector at work. Most look at requests or at answers only.
pub(crate) trait Detect {
    /// A request that is no retransmission.
    fn request(&mut self, _: &Scene, _: &Request<'_, '_>, _: &mut Source, _: &mut Findings) {}

    fn answer(&mut self, _: &Scene, _: &mut Answer<'_, '_>, _: &mut Source, _: &mut Findings) {}
}

macro_rules! detectors {
    ($($field:ident $kind:ident $type:ty)*) => {
        /// All detectors with their settings; `None` for those that are off.
        #[derive(Debug)]
        pub(crate) struct Detectors {
            $(pub(crate) $field: Option<$type>,)*
            alert_only: [bool; Kind::COUNT],
        }

        impl Detectors {
            pub(crate) fn new(settings: &Settings) -> Self {
                let mut alert_only = [false; Kind::COUNT];
                for (slot, kind) in alert_only.iter_mut().zip(Kind::ALL) {
                    *slot = settings.action(*kind) == Action::Alert;
                }
                Self {
                    $($field: (settings.action(Kind::$kind) != Action::Off).then(|| <$type>::new(settings)),)*
                    alert_only,
                }
            }

            pub(crate) fn is_alert_only(&self, kind: Kind) -> bool {
                self.alert_only.get(kind as usize).copied().unwrap_or(false)
            }

            pub(crate) fn request(
                &mut self,
                scene: &Scene,
                request: &Request<'_, '_>,
                source: &mut Source,
                findings: &mut Findings,
            ) {
                $(if let Some(detector) = &mut self.$field {
                    Detect::request(detector, scene, request, source, findings);
                })*
            }

            pub(crate) fn answer(
                &mut self,
                scene: &Scene,
                answer: &mut Answer<'_, '_>,
                source: &mut Source,
                findings: &mut Findings,
            ) {
                $(if let Some(detector) = &mut self.$field {
                    Detect::answer(detector, scene, answer, source, findings);
                })*
            }
        }
    };
}

// In the order of their evidence: what names the attacker best comes first.
detectors! {
    tool_fingerprint ToolFingerprint tool_fingerprint::ToolFingerprint
    injection Injection injection::Injection
    invite_replay InviteReplay invite_replay::InviteReplay
    password_guessing PasswordGuessing password_guessing::PasswordGuessing
    toll_fraud TollFraud toll_fraud::TollFraud
    enumeration Enumeration enumeration::Enumeration
    scanning Scanning scanning::Scanning
    bare_ip BareIp bare_ip::BareIp
    low_and_slow LowAndSlow low_and_slow::LowAndSlow
    flood Flood flood::Flood
    malformed Malformed malformed::Malformed
    refusal Refusal refusal::Refusal
    silent_connection SilentConnection silent_connection::SilentConnection
    account_change AccountChange account_change::AccountChange
}

/// Text from the wire as a sentence may have it: printable, and not long.
pub(crate) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(text.get(..LONGEST).unwrap_or(text));
    let mut clean: String = text.chars().map(|c| if c.is_control() || c == '`' { '.' } else { c }).collect();
    clean.insert(0, '`');
    clean.push('`');
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_complete_and_sorted() {
        let kinds: Vec<Kind> = REGISTRY.iter().map(|detector| detector.kind).collect();
        assert_eq!(kinds, Kind::ALL);
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }

    #[test]
    fn every_detector_is_explained() {
        for detector in REGISTRY {
            let name = detector.kind.as_str();
            assert!(!detector.summary.is_empty() && !detector.summary.ends_with('.'), "{name}");
            assert!(detector.description.ends_with('.'), "{name}");
            for setting in detector.settings {
                assert!((setting.min..=setting.max).contains(&setting.default), "{name}.{}", setting.key);
                assert!(!setting.reason.is_empty() && !setting.unit.is_empty(), "{name}.{}", setting.key);
            }
        }
    }

    #[test]
    fn text_from_the_wire_cannot_break_a_sentence() {
        assert_eq!(shown(b"a\n`b\x1b"), "`a..b.`");
        assert!(shown(&[b'x'; 500]).len() < 70);
    }
}
