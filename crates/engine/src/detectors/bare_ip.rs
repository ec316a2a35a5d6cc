//! Requests to an address where the policy names the domains.

use std::net::IpAddr;

use super::{Detect, Detector, Findings, Kind, Request, Scene, shown};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::Source;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::BareIp,
    summary: "requests to the bare address instead of the domain",
    description: "Works only where the policy names `domains`. Customers ask for the name that they were given; who walks through \
        address ranges knows none. Requests within a dialog are spared (they follow the Contact), and sources that authenticated.",
    settings: &[Setting {
        key: "points",
        default: 25,
        min: 0,
        max: 1000,
        unit: "points a request",
        reason: "four make the threshold; a customer with the address in an old phone authenticates before",
    }],
};

#[derive(Debug)]
pub(crate) struct BareIp {
    points: f32,
    is_on: bool,
}

impl BareIp {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { points: settings.points(Kind::BareIp, "points"), is_on: !settings.domains.is_empty() }
    }
}

impl Detect for BareIp {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        if !self.is_on || !request.is_initial || request.answers_challenge || scene.class >= Class::Credited {
            return;
        }
        let Some(uri) = request.message.uri else { return };
        let is_address = std::str::from_utf8(uri.host).is_ok_and(|host| host.parse::<IpAddr>().is_ok());
        if is_address {
            findings.add(source, Kind::BareIp, self.points, request.is_proof, || {
                format!("{} to the bare address {}", request.method.as_str(), shown(uri.host))
            });
        }
    }
}
