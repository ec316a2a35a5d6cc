//! `[services]` and `[limits]`.

use std::ops::RangeInclusive;

use toml_edit::Value;

use super::{Place, Service, Sources, distinct, place};
use crate::diagnostic::nearest;
use crate::ruleset::{Family, InterfaceName};
use crate::toml::reader::{Reader, Spanned, listed};
use crate::toml::{compile, defaults, file, values};

pub(super) fn check(
    written: Option<Vec<file::Service>>,
    limits: &[(Spanned<String>, Spanned<String>)],
    reader: &mut Reader<'_>,
) -> Vec<Service> {
    let mut services = match written {
        None => shipped(),
        Some(written) => {
            let services = written.iter().map(|one| service(one, reader)).collect();
            opened_by_others(&written, reader);
            services
        }
    };
    for (name, text) in limits {
        limit(name, text, &mut services, reader);
    }
    services
}

fn shipped() -> Vec<Service> {
    let ranges = |ports: &[(u16, u16)]| ports.iter().map(|(first, last)| *first..=*last).collect();
    let shipped = defaults::SERVICES.iter().map(|service| {
        let from: Vec<_> =
            service.from.iter().filter_map(|network| values::network(&Value::from(*network)).ok()).collect();
        Service {
            name: service.name.to_owned(),
            place: Place::SHIPPED,
            tcp: ranges(service.tcp),
            udp: ranges(service.udp),
            from: if service.from.is_empty() { Sources::Anyone } else { Sources::Networks(from) },
            interfaces: Vec::new(),
            inspect: service.inspect,
            limit: None,
        }
    });
    shipped.collect()
}

fn service(written: &file::Service, reader: &mut Reader<'_>) -> Service {
    let name = &written.name;
    super::signatures::check_name(name, reader);
    let mut list = |ports: &Option<file::Ports>, key: &str| -> Vec<RangeInclusive<u16>> {
        let Some(ports) = ports else { return Vec::new() };
        if ports.empty {
            reader.error(&ports.span, format!("no port in `{key}`"), "leave the key out, or name a port");
        }
        ports.items.iter().map(|range| range.value.clone()).collect()
    };
    let (tcp, udp) = (list(&written.tcp, "tcp"), list(&written.udp, "udp"));
    if written.tcp.is_none() && written.udp.is_none() && !written.wrong_ports {
        let help = format!("write `{} = {{ tcp = [22] }}`, or take the service out to close it", name.value);
        reader.error(&name.span, format!("the service `{}` has no ports", name.value), help);
    }
    let from = match &written.from {
        None => Sources::Anyone,
        Some(networks) => {
            if networks.empty {
                let help = "take the service out to close it, or `from` to open it to anyone";
                reader.error(&networks.span, "nobody may use this service", help);
            }
            Sources::Networks(distinct(&networks.items, reader))
        }
    };
    let interfaces: Vec<InterfaceName> = match &written.interface {
        None => Vec::new(),
        Some(names) => {
            if names.empty {
                let help = "take the service out to close it, or `interface` to open it on all of them";
                reader.error(&names.span, "this service is open on no interface", help);
            }
            names.items.iter().map(|name| name.value.clone()).collect()
        }
    };
    Service {
        name: name.value.clone(),
        place: place(&name.span, reader),
        tcp,
        udp,
        from,
        interfaces,
        inspect: written.inspect.as_ref().map_or(defaults::INSPECT, |inspect| inspect.value),
        limit: None,
    }
}

/// A service that is narrowed down by `from` or `interface`, on ports that another one opens to anyone.
fn opened_by_others(services: &[file::Service], reader: &mut Reader<'_>) {
    let narrowed = |service: &&file::Service| service.from.is_some() || service.interface.is_some();
    for narrow in services.iter().filter(narrowed) {
        for open in services.iter().filter(|service| !narrowed(service)) {
            for (wanted, opened) in [(&narrow.tcp, &open.tcp), (&narrow.udp, &open.udp)] {
                let (Some(wanted), Some(opened)) = (wanted, opened) else { continue };
                for range in &wanted.items {
                    let around = |other: &Spanned<RangeInclusive<u16>>| {
                        other.value.contains(range.value.start()) && other.value.contains(range.value.end())
                    };
                    if opened.items.iter().any(around) {
                        opened_to_anyone(narrow, open, range, reader);
                    }
                }
            }
        }
    }
}

fn opened_to_anyone(
    narrow: &file::Service,
    open: &file::Service,
    range: &Spanned<RangeInclusive<u16>>,
    reader: &mut Reader<'_>,
) {
    let key = if narrow.from.is_some() { "from" } else { "interface" };
    let message = format!(
        "`{key}` of `{}` has no effect: the service `{}` opens the same ports to anyone",
        narrow.name.value, open.name.value
    );
    let line = reader.line(&open.name.span).0;
    reader.error(&range.span, message, format!("see line {line}; take the ports out of one of the two"));
}

fn limit(name: &Spanned<String>, text: &Spanned<String>, services: &mut [Service], reader: &mut Reader<'_>) {
    let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    let parsed = reader.value(&text.span, values::limit(&text.value, defaults::LIMIT_BURST));
    let Some(service) = services.iter_mut().find(|service| service.name == name.value) else {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let near = nearest(&name.value, names.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        let help = format!("{near}the services are {}", listed(&names));
        return reader.error(&name.span, format!("there is no service `{}` to limit", name.value), help);
    };
    let Some(Spanned { value: (rate, burst), span }) = parsed else { return };
    if compile::hash_limit(&name.value, rate, burst, Family::Ipv4).credits(HZ).is_none() {
        let help = "write a lower rate, a lower burst, or both";
        return reader.error(&span, "the kernel cannot count this rate and burst", help);
    }
    service.limit = Some((rate, burst, place(&name.span, reader)));
}

/// Ticks a second of Debian's kernels, for which rates are checked.
const HZ: u32 = 250;
