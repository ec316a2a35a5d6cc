//! Who is never banned, whoever asks for it: this host, the SSH sessions of its operators, and whoever is trusted.

/// Who is logged in, looked for beside the event loop.
mod lookout;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ledger::Net;
pub(crate) use lookout::Lookout;
use lookout::Seen;

/// How long what the kernel said about addresses and sessions is believed: it is looked for every second.
const FRESH: Duration = Duration::from_secs(2);
/// An operator who bans many sources, one after the other, has this looked for once.
const JUST_NOW: Duration = Duration::from_millis(100);
/// How long nobody waits for whoever could not say who is logged in: that holds everything up.
const PAUSE: Duration = Duration::from_secs(30);
/// Grants of grace that are kept; beyond, the one that ends first makes room.
const MAX_GRACES: usize = 4096;

/// Why an address or network is not banned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    Own(IpAddr),
    Operator(IpAddr),
    Trusted(String),
    Grace(Net),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(address) => write!(f, "{address} is this host's own address"),
            Self::Operator(address) => write!(f, "an SSH session of this host comes from {address}"),
            Self::Trusted(what) => {
                write!(f, "{what} is trusted; `ringfence trust --remove {what}` changes that")
            }
            Self::Grace(net) => write!(f, "{net} was unbanned with a grace that is not over"),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shelter {
    /// Who looks who is logged in.
    lookout: Option<Lookout>,
    own: BTreeSet<IpAddr>,
    operators: BTreeSet<IpAddr>,
    /// When both were looked for.
    seen: Option<Instant>,
    /// Nobody waits before then for whoever could not say who is logged in.
    not_before: Option<Instant>,
    /// Why nobody knows who is logged in.
    blind: Option<String>,
    /// What the operator trusts, by what it is called; a name with the addresses that it has.
    trusted: BTreeMap<String, Vec<Net>>,
    /// What the policy trusts.
    policy: Vec<Net>,
    /// Of `trusted`, the names that the policy has.
    names: BTreeSet<String>,
    graces: BTreeMap<Net, Instant>,
}

impl Shelter {
    /// Nobody but this host, yet; sessions are known if somebody looks.
    pub(crate) fn new(lookout: Option<Lookout>) -> Self {
        Self { lookout, ..Self::default() }
    }

    /// Has somebody look who is logged in, so that nobody has to wait for that when a ban is due; for every second.
    pub(crate) fn refresh(&mut self) {
        self.hear();
        if let Some(lookout) = &self.lookout {
            lookout.order();
        }
    }

    /// Looks, and waits for what comes of it: an operator's own ban may be his first command after he has logged in.
    pub(crate) fn look_now(&mut self) {
        if self.may_wait() && self.seen.is_none_or(|seen| seen.elapsed() >= JUST_NOW) {
            let seen = self.lookout.as_ref().map_or_else(Seen::without_sessions, Lookout::look);
            self.learn(seen);
        }
    }

    /// Whether whoever looks is not known to hold everything up.
    fn may_wait(&self) -> bool {
        self.not_before.is_none_or(|time| time <= Instant::now())
    }

    /// Why nobody knew who is logged in when that was last looked for, if it was so.
    pub(crate) fn blind(&mut self) -> Option<&str> {
        self.hear();
        self.blind.as_deref()
    }

    /// Why `net` must not be banned, as a whole or in part; `None` if it may be.
    pub(crate) fn covers(&mut self, net: Net) -> Option<Why> {
        self.look();
        let inside = |all: &BTreeSet<IpAddr>| {
            all.iter().copied().find(|address| net.contains(&Net::new(*address, 128)))
        };
        let trusted = || {
            let of_operator = self.trusted.iter().map(|(what, nets)| (what.clone(), nets.as_slice()));
            let of_policy = self.policy.iter().map(|net| (net.to_string(), std::slice::from_ref(net)));
            let mut all = of_operator.chain(of_policy);
            all.find(|(_, nets)| nets.iter().any(|one| overlaps(*one, net))).map(|(what, _)| what)
        };
        inside(&self.own)
            .map(Why::Own)
            .or_else(|| inside(&self.operators).map(Why::Operator))
            .or_else(|| trusted().map(Why::Trusted))
            .or_else(|| {
                let now = Instant::now();
                let grace = |(graced, until): (&Net, &Instant)| overlaps(*graced, net) && *until > now;
                self.graces.iter().find(|entry| grace(*entry)).map(|(graced, _)| Why::Grace(*graced))
            })
    }

    /// Whether it is this host's own address.
    pub(crate) fn is_own(&mut self, address: IpAddr) -> bool {
        self.look();
        self.own.contains(&address.to_canonical())
    }

    /// The networks that the policy trusts.
    pub(crate) fn follow(&mut self, policy: Vec<Net>) {
        self.policy = policy;
    }

    /// The names that the policy trusts; those that are new have no address yet. Which ones it trusts no more.
    pub(crate) fn follow_names(&mut self, names: &[String]) -> Vec<String> {
        let names: BTreeSet<String> = names.iter().cloned().collect();
        for name in &names {
            self.trusted.entry(name.clone()).or_default();
        }
        let gone = self.names.difference(&names).cloned().collect();
        self.names = names;
        gone
    }

    /// The names that the policy trusts.
    pub(crate) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// What `what` stands for now; whether that is new.
    pub(crate) fn trust(&mut self, what: &str, nets: Vec<Net>) -> bool {
        self.trusted.insert(what.to_owned(), nets.clone()) != Some(nets)
    }

    /// Forgets it; what it stood for.
    pub(crate) fn distrust(&mut self, what: &str) -> Option<Vec<Net>> {
        self.trusted.remove(what)
    }

    /// Everything that the operator trusts, and the policy by name.
    pub(crate) fn trusted(&self) -> impl Iterator<Item = (&str, &[Net])> {
        self.trusted.iter().map(|(what, nets)| (what.as_str(), nets.as_slice()))
    }

    /// Whether the operator trusts exactly this.
    pub(crate) fn trusts(&self, net: Net) -> bool {
        self.trusted.values().any(|nets| nets.contains(&net))
    }

    /// Does not ban `net` again for `period`.
    pub(crate) fn grace(&mut self, net: Net, period: Duration) {
        let now = Instant::now();
        self.graces.retain(|_, until| *until > now);
        if self.graces.len() >= MAX_GRACES
            && let Some(first) = self.graces.iter().min_by_key(|(_, until)| **until).map(|(net, _)| *net)
        {
            self.graces.remove(&first);
        }
        if let Some(until) = now.checked_add(period) {
            self.graces.insert(net, until);
        }
    }

    /// An operator's own word ends a grace; which ones did.
    pub(crate) fn end_grace(&mut self, net: Net) -> Vec<Net> {
        let ended = self.graces.keys().filter(|graced| overlaps(**graced, net)).copied().collect();
        self.graces.retain(|graced, _| !overlaps(*graced, net));
        ended
    }

    /// Knows what is not older than it may be; looks itself and waits, if nobody did lately.
    fn look(&mut self) {
        self.hear();
        if self.seen.is_none_or(|seen| seen.elapsed() >= FRESH) {
            self.look_now();
        }
    }

    /// Takes what came of the last order.
    fn hear(&mut self) {
        if let Some(seen) = self.lookout.as_ref().and_then(Lookout::take) {
            self.learn(seen);
        }
    }

    fn learn(&mut self, Seen { at, own, operators }: Seen) {
        if self.seen.is_some_and(|seen| seen > at) {
            return;
        }
        // What cannot be read now was read a second ago: better than nobody.
        self.own = own.unwrap_or_else(|| std::mem::take(&mut self.own));
        match operators {
            Ok(operators) => {
                self.operators = operators;
                self.blind = None;
                self.seen = Some(at);
                self.not_before = None;
            }
            Err(why) => {
                self.blind = Some(why);
                self.not_before = Instant::now().checked_add(PAUSE);
            }
        }
    }
}

fn overlaps(one: Net, other: Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        text.parse().unwrap()
    }

    #[test]
    fn this_host_is_not_banned_in_part_either() {
        let mut shelter = Shelter::default();
        assert_eq!(shelter.covers(net("127.0.0.0/8")), Some(Why::Own([127, 0, 0, 1].into())));
        assert_eq!(shelter.covers(net("203.0.113.9")), None);
    }

    #[test]
    fn whom_somebody_trusts_is_not_banned() {
        let mut shelter = Shelter::default();
        shelter.follow(vec![net("198.51.100.0/24")]);
        assert!(shelter.trust("sip.example.net", vec![net("203.0.113.7"), net("2001:db8::7")]));
        assert!(
            !shelter.trust("sip.example.net", vec![net("203.0.113.7"), net("2001:db8::7")]),
            "nothing new"
        );
        assert_eq!(shelter.covers(net("203.0.113.0/24")), Some(Why::Trusted("sip.example.net".to_owned())));
        assert_eq!(shelter.covers(net("2001:db8::7")), Some(Why::Trusted("sip.example.net".to_owned())));
        assert_eq!(shelter.covers(net("198.51.100.9")), Some(Why::Trusted("198.51.100.0/24".to_owned())));
        assert!(shelter.distrust("sip.example.net").is_some());
        assert_eq!(shelter.covers(net("203.0.113.0/24")), None);
    }

    #[test]
    fn names_of_the_policy_come_and_go() {
        let mut shelter = Shelter::default();
        assert_eq!(shelter.follow_names(&["a.example".to_owned(), "b.example".to_owned()]), [""; 0]);
        assert!(shelter.trust("b.example", vec![net("203.0.113.7")]));
        assert_eq!(shelter.follow_names(&["b.example".to_owned()]), ["a.example"]);
        assert_eq!(shelter.covers(net("203.0.113.7")), Some(Why::Trusted("b.example".to_owned())));
    }

    #[test]
    fn a_grace_ends() {
        let mut shelter = Shelter::default();
        shelter.grace(net("203.0.113.9"), Duration::from_secs(60));
        assert_eq!(shelter.covers(net("203.0.113.9")), Some(Why::Grace(net("203.0.113.9"))));
        shelter.end_grace(net("203.0.113.0/24"));
        assert_eq!(shelter.covers(net("203.0.113.9")), None);
        shelter.grace(net("203.0.113.9"), Duration::ZERO);
        assert_eq!(shelter.covers(net("203.0.113.9")), None);
    }
}
