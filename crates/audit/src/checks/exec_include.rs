//! `exec-include`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "exec-include",
    severity: Severity::Medium,
    title: "the configuration runs a program",
    why: "Whoever can write the program, or what it reads, decides about the PBX as its user, often as \
        root.",
    asterisk: "replace `#exec` by a file that is written when something changes, and leave `execincludes` off \
        in asterisk.conf.",
    freepbx: "take it out of the `_custom.conf` in Admin > Config Edit.",
    about: "Told for each `#exec`. The program is named and never run, so what it would add is not looked \
        at.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for exec in pbx.configs().flat_map(|config| &config.execs) {
        found.add(
            &exec.place,
            exec.section.as_deref(),
            format!("`#exec` runs `{}`; it was not run here", exec.program),
        );
    }
}
