//! `-m recent`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::rates::table_name;
use crate::iptables::rule::{Context, Instance};
use crate::iptables::values::{self, bad_with_help};
use crate::ruleset::{Family, Recent, RecentAction};

/// Longest list name (`XT_RECENT_NAME_LEN` less its end); iptables cuts longer ones, which would make two lists one.
const MAX_NAME: usize = 199;

/// Most packets that every kernel remembers of an address (`XT_RECENT_MAX_NSTAMPS` was 256, exclusive, until Linux 6.8).
const MAX_HITS: u32 = 255;

pub(super) fn recent(instance: &Instance, context: &mut Context<'_>) -> Option<Recent> {
    let (action, negated) = action(instance, context)?;
    let name = match instance.option("--name") {
        None => Some("DEFAULT".to_owned()),
        Some(_) => instance.value("--name", context, |text| table_name(text, MAX_NAME)),
    };
    let seconds = match instance.option("--seconds") {
        None => Some(0),
        Some(_) => instance.value("--seconds", context, |text| values::number_in(text, 1, u32::MAX)),
    };
    let hitcount = match instance.option("--hitcount") {
        None => Some(0),
        Some(_) => instance.value("--hitcount", context, |text| values::number_in(text, 0, MAX_HITS)),
    };
    let mask = mask(instance, context);
    for option in ["--seconds", "--hitcount", "--rttl", "--reap"] {
        let misplaced = matches!(action, RecentAction::Set | RecentAction::Remove);
        if let (Some(given), true) = (instance.option(option), misplaced) {
            let help = "the kernel takes it only with `--rcheck` and `--update`";
            context.error(&given.span, format!("`{option}` with `--set` or `--remove`"), help);
            return None;
        }
    }
    if let (Some(reap), false) = (instance.option("--reap"), instance.has("--seconds")) {
        context.error(
            &reap.span,
            "`--reap` without `--seconds`",
            "it removes what is older than that; add `--seconds N`",
        );
        return None;
    }
    Some(Recent {
        negated,
        name: name?,
        action,
        seconds: seconds?,
        hitcount: hitcount?,
        reap: instance.has("--reap"),
        rttl: instance.has("--rttl"),
        by_destination: side_is_destination(instance),
        mask: mask?,
    })
}

fn action(instance: &Instance, context: &mut Context<'_>) -> Option<(RecentAction, bool)> {
    let actions = [
        ("--set", RecentAction::Set),
        ("--rcheck", RecentAction::Check),
        ("--update", RecentAction::Update),
        ("--remove", RecentAction::Remove),
    ];
    let mut found =
        actions.into_iter().filter_map(|(name, action)| instance.option(name).map(|given| (given, action)));
    let first = found.next();
    if let Some((second, _)) = found.next() {
        context.plain_error(
            &second.span,
            "a second one of `--set`, `--rcheck`, `--update` and `--remove` in one `-m recent`",
        );
        return None;
    }
    if first.is_none() {
        context
            .plain_error(&instance.span, "`-m recent` without `--set`, `--rcheck`, `--update` or `--remove`");
    }
    first.map(|(given, action)| (action, given.negated))
}

/// Of `--rsource` and `--rdest` the last one holds.
fn side_is_destination(instance: &Instance) -> bool {
    let names = instance.given.iter().rev().filter_map(|given| given.spec.names.first());
    names.copied().find(|name| matches!(*name, "--rsource" | "--rdest")) == Some("--rdest")
}

fn mask(instance: &Instance, context: &mut Context<'_>) -> Option<IpAddr> {
    let family = context.family;
    match instance.option("--mask") {
        None => Some(match family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::BROADCAST),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
        }),
        Some(_) => instance.value("--mask", context, |text| {
            let plain_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if plain_number {
                return bad_with_help(
                    format!("`{text}` is not a mask"),
                    "iptables would take it for an address; write it as one, such as `255.255.255.0`",
                );
            }
            values::address(text, family)
        }),
    }
}
