//! `[metrics]` and `[events]`, checked.

use crate::ruleset::Network;
use crate::toml::file;
use crate::toml::reader::Reader;
use crate::toml::values::{self, BadValue, bad};
use crate::watch::{EventFiles, METRICS_PORT, Metrics};

/// Smaller files would be renamed all the time.
const LEAST_BYTES: u64 = 1 << 20;
const MOST_BYTES: u64 = 16 << 30;
const MOST_FILES: i64 = 100;

pub(super) fn metrics(written: Option<file::Metrics>, reader: &mut Reader<'_>) -> Option<Metrics> {
    let written = written?;
    let Some(text) = &written.listen else {
        if !written.wrong {
            let help = format!("write `listen = \"127.0.0.1:{METRICS_PORT}\"`, or take `[metrics]` out");
            reader.error(&written.span, "it is not said where metrics are served", help);
        }
        return None;
    };
    let listen = reader.value(&text.span, values::socket(&text.value, METRICS_PORT))?.value;
    let allow = match &written.allow {
        Some(list) if list.empty => {
            reader.error(
                &list.span,
                "nobody may ask for metrics",
                "name who does: `allow = [\"192.0.2.10\"]`",
            );
            Vec::new()
        }
        Some(list) => list.items.iter().map(|network| network.value).collect(),
        None if listen.ip().is_loopback() => Network::LOOPBACK.to_vec(),
        None => {
            let help = "name who asks: `allow = [\"192.0.2.10\"]`; metrics come without a password and in the clear, so \
                        listen on loopback where Prometheus runs here";
            reader.error(&text.span, "it is not said who may ask for metrics from outside", help);
            Vec::new()
        }
    };
    Some(Metrics { listen, allow })
}

pub(super) fn events(written: &file::Events, reader: &mut Reader<'_>) -> EventFiles {
    let EventFiles { max_bytes, keep } = EventFiles::SHIPPED;
    let size = written.max_size.as_ref().and_then(|text| reader.value(&text.span, size(&text.value)));
    let files = written.keep.as_ref().and_then(|number| reader.value(&number.span, files(number.value)));
    EventFiles {
        max_bytes: size.map_or(max_bytes, |size| size.value),
        keep: files.map_or(keep, |files| files.value),
    }
}

/// `64MiB`, `1 GiB`.
fn size(text: &str) -> Result<u64, BadValue> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let worth: Option<u64> = match unit.trim() {
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = worth.and_then(|worth| number.parse::<u64>().ok()?.checked_mul(worth));
    match bytes {
        None => bad(format!("`{text}` is no size"), "write it like `\"64MiB\"` or `\"1GiB\"`"),
        Some(bytes) if !(LEAST_BYTES..=MOST_BYTES).contains(&bytes) => {
            let help = format!(
                "`max-size` is at least {} MiB, and at most {} GiB",
                LEAST_BYTES >> 20,
                MOST_BYTES >> 30
            );
            bad(format!("`{text}` is too {}", if bytes < LEAST_BYTES { "small" } else { "large" }), help)
        }
        Some(bytes) => Ok(bytes),
    }
}

fn files(number: i64) -> Result<u32, BadValue> {
    match u32::try_from(number) {
        Ok(files) if (1..=MOST_FILES).contains(&number) => Ok(files),
        Ok(_) | Err(_) => {
            bad(format!("`keep` cannot be {number}"), format!("it counts files, from 1 to {MOST_FILES}"))
        }
    }
}
