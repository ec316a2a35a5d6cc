//! The time that terms of bans are counted in: the wall clock as it was when the first daemon after the machine's start read
//! it, and what has passed since. Whoever sets the wall clock neither lengthens a ban nor ends it.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Its file in the state directory: which start of the machine, and nanoseconds between the two clocks.
const CLOCK: &str = "clock";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Clocks that are nearer to each other show the same.
const SAME: Duration = Duration::from_secs(2);

/// Nanoseconds of the wall clock when `CLOCK_MONOTONIC` was 0; not there before a daemon has begun.
static OFFSET: OnceLock<u64> = OnceLock::new();

/// Goes on with the time of the daemon before, if the machine runs since then.
pub(crate) fn begin(state_dir: &Path) {
    let path = state_dir.join(CLOCK);
    let boot = fs::read_to_string(BOOT).unwrap_or_default();
    let known = fs::read_to_string(&path).ok().and_then(|text| known(&text, boot.trim()));
    OFFSET.get_or_init(|| {
        known.unwrap_or_else(|| {
            let offset = nanos(SystemTime::now()).saturating_sub(host::machine::monotonic());
            // Without it the next daemon believes the wall clock, as this one does.
            let _ = fs::write(&path, format!("{} {offset}\n", boot.trim()));
            offset
        })
    });
}

/// Now, in the time of the ledger.
pub(crate) fn now() -> SystemTime {
    OFFSET.get().map_or_else(SystemTime::now, |offset| {
        UNIX_EPOCH + Duration::from_nanos(offset.saturating_add(host::machine::monotonic()))
    })
}

/// A time of the ledger as the wall clock has it now, for people.
pub(crate) fn shown(time: SystemTime) -> SystemTime {
    if OFFSET.get().is_none() {
        return time;
    }
    let (wall, ours) = (SystemTime::now(), now());
    match (wall.duration_since(ours), ours.duration_since(wall)) {
        (Ok(ahead), _) if ahead >= SAME => time + ahead,
        (_, Ok(behind)) if behind >= SAME => time.checked_sub(behind).unwrap_or(time),
        _ => time,
    }
}

fn known(text: &str, boot: &str) -> Option<u64> {
    let (of, offset) = text.trim().split_once(' ')?;
    if of != boot || boot.is_empty() {
        return None;
    }
    offset.parse().ok()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_another_start_is_not_believed() {
        assert_eq!(known("one 17\n", "one"), Some(17));
        for (text, boot) in [("one 17", "two"), ("one", "one"), ("one -1", "one"), (" 17", ""), ("", "one")] {
            assert_eq!(known(text, boot), None, "{text:?}");
        }
    }
}
