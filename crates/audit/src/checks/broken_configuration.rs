//! `broken-configuration`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "broken-configuration",
    severity: Severity::Medium,
    title: "lines with which Asterisk can do nothing",
    why: "What is meant by such a line is not in force, and some keep Asterisk from reading the file at \
        all.",
    asterisk: "mend the line, or take it out.",
    freepbx: "mend it where it comes from: a module's page for files ending in `_additional.conf`, Admin > \
        Config Edit for `_custom.conf`.",
    about: "Told for lines that are no section, setting, comment or directive, and for includes and \
        templates that are not there.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for problem in pbx.configs().flat_map(|config| &config.problems) {
        found.add(&problem.place, problem.section.as_deref(), &problem.what);
    }
}
