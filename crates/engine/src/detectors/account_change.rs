//! Calls that an account never made before: perhaps its password is somebody else's now.

use sip::Method;

use super::{Answer, Detect, Detector, Findings, Kind, Scene, shown};
use crate::settings::{Setting, Settings};
use crate::source::{Distinct, Source};
use crate::table::{Fill, Sets};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::AccountChange,
    summary: "an account that calls where, or as often as, it never did",
    description: "Compares each account's accepted calls with its own history: a country code or international prefix that is new \
        for it, and many times more calls an hour than it ever made. It raises alerts only: whoever has the password looks like \
        its owner, and a ban would hit the customer.",
    settings: &[
        Setting {
            key: "history",
            default: 20,
            min: 1,
            max: 60_000,
            unit: "calls",
            reason: "before that, everything is new for an account",
        },
        Setting {
            key: "calls-an-hour",
            default: 30,
            min: 1,
            max: 60_000,
            unit: "calls",
            reason: "fewer are no fraud that is worth a call at night",
        },
        Setting {
            key: "times",
            default: 4,
            min: 2,
            max: 1000,
            unit: "times the busiest hour",
            reason: "a campaign doubles the calls of an agent; a dialling program multiplies them",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct AccountChange {
    history: u16,
    an_hour: u16,
    times: u16,
    accounts: Sets<Account>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    calls: u16,
    hour: Tick,
    in_hour: u16,
    busiest: u16,
    regions: Distinct,
    told_rate: bool,
}

const LIMIT: usize = 1 << 14;
/// Ninety days.
const MEMORY: Tick = Tick::seconds(90 * 24 * 3600);
const HOUR: Tick = Tick::seconds(3600);

impl AccountChange {
    /// 16,384 accounts; the one that was quiet for longest in a set of 4 makes room.
    pub(crate) fn new(settings: &Settings) -> Self {
        let get = |key| u16::try_from(settings.get(Some(Kind::AccountChange), key)).unwrap_or(u16::MAX);
        Self {
            history: get("history"),
            an_hour: get("calls-an-hour"),
            times: get("times"),
            accounts: Sets::new(LIMIT),
        }
    }

    pub(crate) fn fill(&self) -> Fill {
        self.accounts.fill("calling-accounts")
    }
}

/// What stands for the country of an international number: its first digits behind `+`, `00` or `011`.
fn region(number: &[u8]) -> Option<&[u8]> {
    let behind = [b"+".as_slice(), b"00", b"011", b"9011", b"900"]
        .into_iter()
        .find_map(|prefix| number.strip_prefix(prefix));
    let digits = behind?;
    // Zones 1 and 7 have one digit; others two or three, of which two tell enough.
    let len = if digits.first().is_some_and(|first| matches!(first, b'1' | b'7')) { 1 } else { 2 };
    digits.get(..len)
}

impl Detect for AccountChange {
    fn answer(
        &mut self,
        scene: &Scene,
        answer: &mut Answer<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let request = &*answer.request;
        let is_call = request.method == Method::Invite && request.has_credentials && request.is_initial;
        if !is_call || !(200..300).contains(&answer.status) {
            return;
        }
        let Some(name) = answer.message.from.as_ref().and_then(|from| from.account()) else { return };
        let number = answer.message.to.as_ref().and_then(|to| to.account()).unwrap_or_default();
        let (account, _) = self.accounts.entry(scene.salt.of(&[name]), scene.now, MEMORY);
        if scene.now.since(account.hour) >= HOUR {
            account.busiest = account.busiest.max(account.in_hour);
            account.hour = scene.now;
            account.in_hour = 0;
            account.told_rate = false;
        }
        account.calls = account.calls.saturating_add(1);
        account.in_hour = account.in_hour.saturating_add(1);
        let has_history = account.calls > self.history;
        let new_region = region(number).filter(|region| account.regions.insert(scene.salt.of(&[region])));
        if let Some(region) = new_region.filter(|_| has_history) {
            findings.alert(source, Kind::AccountChange, || {
                format!(
                    "account {} called country code {} for the first time: {}",
                    shown(name),
                    shown(region),
                    shown(number)
                )
            });
        }
        let usual = account.busiest.max(1).saturating_mul(self.times);
        if has_history && !account.told_rate && account.in_hour >= self.an_hour.max(usual) {
            account.told_rate = true;
            let (calls, busiest) = (account.in_hour, account.busiest);
            findings.alert(source, Kind::AccountChange, || {
                format!(
                    "account {} made {calls} calls within an hour; its busiest hour so far had {busiest}",
                    shown(name)
                )
            });
        }
    }
}
