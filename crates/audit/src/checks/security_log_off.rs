//! `security-log-off`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "security-log-off",
    severity: Severity::Medium,
    title: "attacks are not logged",
    why: "Without the level `security` no log says which address failed to log in, and nothing that \
        reads logs can act.",
    asterisk: "add `security => security` to `[logfiles]` in logger.conf.",
    freepbx: "Settings > Asterisk Logfile Settings > Log Files: Security to On for a file.",
    about: "Told where logger.conf has no line in `[logfiles]`, other than that of the console, with the level `security` or `*`.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(files) = pbx.config("logger.conf").and_then(|config| config.merged("logfiles")) else { return };
    let has = files.entries.iter().any(|entry| {
        // Nothing reads what a console showed. Before the levels the format may stand: `[json]security`.
        let levels = entry.value.rsplit(']').next().unwrap_or_default();
        !entry.key.eq_ignore_ascii_case("console")
            && levels
                .split(',')
                .any(|level| matches!(level.trim().to_ascii_lowercase().as_str(), "security" | "*"))
    });
    if !has {
        found.add(&files.place, Some("logfiles"), "no log file has the level `security`");
    }
}
