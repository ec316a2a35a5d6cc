//! Somebody else's credentials, overheard and sent again.

use sip::Method;

use super::{Detect, Detector, Findings, Kind, Request, Scene, shown};
use crate::command::Source as Address;
use crate::settings::{Setting, Settings};
use crate::source::Source;
use crate::table::{Fill, Sets};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::InviteReplay,
    summary: "an authenticated INVITE that was copied",
    description: "Remembers the digests of INVITEs. The same digest from another address, or in another call with \
        the same nonce count, was not computed by its sender. A phone that uses a nonce without a count twice for the same \
        question does nothing wrong; a registration that moves to another network may bring its old digest along, so only calls are \
        looked at.",
    settings: &[Setting {
        key: "points",
        default: 100,
        min: 0,
        max: 1000,
        unit: "points",
        reason: "a digest fits one question of one sender",
    }],
};

#[derive(Debug)]
pub(crate) struct InviteReplay {
    points: f32,
    seen: Sets<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    source: u64,
    call: u64,
}

const LIMIT: usize = 1 << 14;
const MEMORY: Tick = Tick::seconds(24 * 3600);

impl InviteReplay {
    /// 16,384 digests of the last day; the oldest of a set of 4 makes room.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { points: settings.points(Kind::InviteReplay, "points"), seen: Sets::new(LIMIT) }
    }

    pub(crate) fn fill(&self) -> Fill {
        self.seen.fill("digests")
    }
}

impl Detect for InviteReplay {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        if request.method != Method::Invite {
            return;
        }
        let Some(credentials) = request.message.credentials.filter(|credentials| credentials.is_digest)
        else {
            return;
        };
        let (Some(nonce), Some(response)) = (credentials.nonce, credentials.response) else { return };
        if response.is_empty() {
            return;
        }
        let count = credentials.nc.unwrap_or_default();
        let key = scene.salt.of(&[nonce, response, count]);
        let address = Address::of(scene.peer.ip()).number();
        let new = Seen { source: address, call: request.call };
        let seen = self.seen.get(key, scene.now, MEMORY).copied();
        let Some(seen) = seen else {
            return self.seen.insert(key, scene.now, new);
        };
        let elsewhere = seen.source != new.source;
        let again = !count.is_empty() && seen.call != new.call;
        if elsewhere || again {
            let name = credentials.username.unwrap_or_default();
            let how = if elsewhere { "another address" } else { "another call" };
            findings.add(source, Kind::InviteReplay, self.points, request.is_proof, || {
                format!("credentials of {} were copied from {how}", shown(name))
            });
        }
    }
}
