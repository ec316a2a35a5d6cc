//! `-m limit` and `-m hashlimit`.

use crate::iptables::rule::{Context, Given, Instance};
use crate::iptables::values::{self, BadValue, bad, bad_with_help};
use crate::ruleset::{Family, HASHLIMIT_SCALE, HashLimit, HashRate, LIMIT_SCALE, Limit, Rate, RateUnit};

/// Ticks a second for which rates are checked: Debian's and Ubuntu LTS's kernels. 1000 gives the same answer.
const HZ: u32 = 250;

pub(super) fn limit(instance: &Instance, context: &mut Context<'_>) -> Option<Limit> {
    let rate = match instance.option("--limit") {
        None => Rate { amount: 3, unit: RateUnit::Hour },
        Some(_) => instance.value("--limit", context, |text| values::rate(text, LIMIT_SCALE))?,
    };
    let burst = match instance.option("--limit-burst") {
        None => 5,
        Some(_) => instance.value("--limit-burst", context, |text| values::number_in(text, 1, 10_000_u32))?,
    };
    let limit = Limit { rate, burst };
    if limit.credits(HZ).is_none() {
        let help = "the kernel counts in 32 bits and refuses this rule; write a higher rate or a lower burst";
        context.error(&instance.span, "this rate and burst overflow", help);
        return None;
    }
    Some(limit)
}

pub(super) fn hashlimit(instance: &Instance, context: &mut Context<'_>) -> Option<HashLimit> {
    let (given, above) = over_or_under(instance, context)?;
    let (text, span) = given.argument();
    let rate = context.value(&span, hash_rate(text));
    let name = name(instance, context);
    let modes = match instance.option("--hashlimit-mode") {
        None => Some(Modes::default()),
        Some(_) => instance.value("--hashlimit-mode", context, modes),
    };
    let longest = match context.family {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    };
    let mut small = |name: &str, absent: u8| match instance.option(name) {
        None => Some(absent),
        Some(_) => instance.value(name, context, |text| values::number_in(text, 0, longest)),
    };
    let (source_mask, destination_mask) =
        (small("--hashlimit-srcmask", longest), small("--hashlimit-dstmask", longest));
    let mut number = |name: &str, absent: u32, least: u32| match instance.option(name) {
        None => Some(absent),
        Some(_) => instance.value(name, context, |text| values::number_in(text, least, u32::MAX)),
    };
    let buckets = number("--hashlimit-htable-size", 0, 0);
    let max = number("--hashlimit-htable-max", 0, 0);
    let gc_interval = number("--hashlimit-htable-gcinterval", 1000, 1);
    let (rate, modes) = (rate?, modes?);
    let expire = number("--hashlimit-htable-expire", default_expire(rate, instance), 1);
    let burst = burst(instance, rate, context)?;
    let limit = HashLimit {
        // `!` before `--hashlimit-upto` is `--hashlimit-above` and the other way round, for iptables too.
        negated: false,
        above: above != given.negated,
        name: name?,
        rate,
        burst,
        by_source: modes.source,
        by_source_port: modes.source_port,
        by_destination: modes.destination,
        by_destination_port: modes.destination_port,
        source_mask: source_mask?,
        destination_mask: destination_mask?,
        buckets: buckets?.min(MOST_BUCKETS),
        max: max?.min(MOST_BUCKETS),
        expire: expire?,
        gc_interval: gc_interval?,
    };
    if limit.credits(HZ).is_none() {
        let help = "the kernel or iptables refuses it: a byte burst may not be below the rate, a byte rate not below 16b/s";
        context.error(&span, "this rate and burst cannot be counted", help);
        return None;
    }
    Some(limit)
}

/// The kernel cuts larger tables down to this (`hashlimit_mt_check_common`).
const MOST_BUCKETS: u32 = 1_048_576;

fn over_or_under<'a>(instance: &'a Instance, context: &mut Context<'_>) -> Option<(&'a Given, bool)> {
    match (instance.option("--hashlimit-upto"), instance.option("--hashlimit-above")) {
        (Some(upto), None) => Some((upto, false)),
        (None, Some(above)) => Some((above, true)),
        (None, None) => {
            context.plain_error(
                &instance.span,
                "`-m hashlimit` without `--hashlimit-upto` or `--hashlimit-above`",
            );
            None
        }
        (Some(_), Some(above)) => {
            context
                .plain_error(&above.span, "`--hashlimit-upto` and `--hashlimit-above` in one `-m hashlimit`");
            None
        }
    }
}

fn name(instance: &Instance, context: &mut Context<'_>) -> Option<String> {
    if instance.option("--hashlimit-name").is_none() {
        context.error(
            &instance.span,
            "`-m hashlimit` without `--hashlimit-name`",
            "rules of one name share one table; give each table a name",
        );
        return None;
    }
    instance.value("--hashlimit-name", context, |text| table_name(text, 254))
}

/// A name that the kernel can show as a file under `/proc` (`xt_check_proc_name`).
pub(super) fn table_name(text: &str, longest: usize) -> Result<String, BadValue> {
    if text.is_empty() {
        return bad("the name is empty");
    }
    if matches!(text, "." | "..") || text.contains('/') {
        return bad_with_help(
            format!("`{text}` cannot be a name"),
            "the kernel makes a file of this name: no `/`, nor `.` or `..` alone",
        );
    }
    if text.len() > longest {
        return bad(format!("the name has {} bytes, more than {longest}", text.len()));
    }
    Ok(text.to_owned())
}

#[derive(Default)]
struct Modes {
    source: bool,
    source_port: bool,
    destination: bool,
    destination_port: bool,
}

fn modes(text: &str) -> Result<Modes, BadValue> {
    let mut modes = Modes::default();
    for mode in text.split([',', '|']).filter(|mode| !mode.is_empty()) {
        match mode {
            "srcip" => modes.source = true,
            "srcport" => modes.source_port = true,
            "dstip" => modes.destination = true,
            "dstport" => modes.destination_port = true,
            _ => {
                return bad_with_help(
                    format!("unknown mode `{mode}`"),
                    "modes are srcip, srcport, dstip and dstport, with commas between",
                );
            }
        }
    }
    Ok(modes)
}

fn hash_rate(text: &str) -> Result<HashRate, BadValue> {
    match text.strip_suffix("b/s") {
        Some(bytes) => Ok(HashRate::Bytes(byte_amount(bytes, text)?)),
        None => values::rate(text, HASHLIMIT_SCALE).map(HashRate::Packets),
    }
}

/// Highest byte rate: beyond it iptables' rounding is coarser than one part in fifty.
const MOST_BYTES: u64 = 1 << 30;

/// A number of bytes with `k` (1024) or `m` (1024²) behind it; `whole` is for the message.
fn byte_amount(text: &str, whole: &str) -> Result<u64, BadValue> {
    let (digits, factor) = match (text.strip_suffix('k'), text.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1 << 10),
        (None, Some(digits)) => (digits, 1 << 20),
        (None, None) => (text, 1),
    };
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = digits.parse::<u64>().ok().filter(|_| decimal).and_then(|amount| amount.checked_mul(factor));
    bytes.filter(|bytes| *bytes <= MOST_BYTES).map_or_else(
        || {
            bad_with_help(
                format!("`{whole}` is not a number of bytes"),
                "write `512kb/s`, `10mb/s` or `4000b/s`, up to 1024mb/s",
            )
        },
        Ok,
    )
}

fn burst(instance: &Instance, rate: HashRate, context: &mut Context<'_>) -> Option<u64> {
    match (instance.option("--hashlimit-burst"), rate) {
        (None, HashRate::Packets(_)) => Some(5),
        (None, HashRate::Bytes(_)) => Some(0),
        (Some(_), HashRate::Packets(_)) => {
            instance.value("--hashlimit-burst", context, |text| values::number_in(text, 1, 1_000_000_u64))
        }
        (Some(_), HashRate::Bytes(_)) => instance.value("--hashlimit-burst", context, |text| {
            byte_amount(text.strip_suffix('b').unwrap_or(text), text).and_then(|bytes| match bytes {
                0 => bad("a burst of nothing"),
                bytes => Ok(bytes),
            })
        }),
    }
}

/// iptables keeps idle entries for one unit of the rate (`hashlimit_mt_check`).
fn default_expire(rate: HashRate, instance: &Instance) -> u32 {
    match rate {
        HashRate::Packets(rate) => u32::try_from(rate.unit.seconds() * 1000).unwrap_or(u32::MAX),
        HashRate::Bytes(_) if instance.has("--hashlimit-burst") => 60_000,
        HashRate::Bytes(_) => 15_000,
    }
}
