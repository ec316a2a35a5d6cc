//! `manager-exposed`

use super::{Check, Found, Severity};
use crate::meaning::{Access, Pbx};

pub(super) const CHECK: Check = Check {
    id: "manager-exposed",
    severity: Severity::High,
    title: "the manager interface can be reached from outside",
    why: "Who logs in there runs commands as Asterisk's user, and only the password is between him and \
        the network.",
    asterisk: "set `bindaddr=127.0.0.1` in manager.conf, or give each user `deny=0.0.0.0/0.0.0.0` and a \
        `permit` for those who need it.",
    freepbx: "Settings > Advanced Settings: AMI Bind Address to 127.0.0.1; Settings > Asterisk Manager \
        Users: Deny and Permit of each user.",
    about: "Told for each user whom everybody may try to be: the interface is on, listens on more than \
        loopback, and `permit`, `deny` and `acl` keep no stranger out. Note that `permit` without \
        `deny` keeps nobody out.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(manager) = pbx.manager.as_ref().filter(|manager| manager.is_outside) else { return };
    for user in manager.users.iter().filter(|user| user.access == Access::Everybody) {
        let message =
            format!("manager user `{}` can log in from everywhere ({} says where)", user.name, manager.place);
        found.add(&user.place, Some(&user.name), message);
    }
}
