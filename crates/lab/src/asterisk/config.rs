//! The configuration of the lab's Asterisk.

use std::fs;
use std::path::Path;

use crate::error::{LabError, file};

/// A name and password that Asterisk knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Extension, endpoint and user name in one.
    pub user: &'static str,
    /// The digest password.
    pub password: &'static str,
}

/// The desk phone, with a password that nobody guesses.
pub const PHONE: Account = Account { user: "1000", password: "correct-horse-47-battery" };
/// A second phone, to call and to be called.
pub const OTHER_PHONE: Account = Account { user: "1001", password: "staple-93-lantern-orchid" };
/// What an attacker hopes for: a three-digit password.
pub const WEAK: Account = Account { user: "100", password: "107" };

/// All accounts.
pub const ACCOUNTS: [Account; 3] = [PHONE, OTHER_PHONE, WEAK];

/// What may differ between one lab's Asterisk and another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AsteriskOptions {
    /// Answers callers without a password, as FreePBX does with "Allow Anonymous Inbound SIP Calls". Existing extensions then
    /// answer otherwise than missing ones, which is what extension scanners live on.
    pub guests: bool,
}

/// The files as they are, whatever the options.
const FILES: &[(&str, &str)] = &[
    ("asterisk.conf", include_str!("config/asterisk.conf")),
    ("modules.conf", include_str!("config/modules.conf")),
    ("extensions.conf", include_str!("config/extensions.conf")),
    ("logger.conf", include_str!("config/logger.conf")),
    ("rtp.conf", include_str!("config/rtp.conf")),
    ("indications.conf", include_str!("config/indications.conf")),
    ("manager.conf", "[general]\nenabled = no\n"),
    ("cdr.conf", "[general]\nenable = no\n"),
    // Asterisk complains about each of these that is missing.
    ("acl.conf", ""),
    ("ccss.conf", ""),
    ("cel.conf", ""),
    ("features.conf", ""),
    ("pjproject.conf", ""),
    ("udptl.conf", ""),
];

/// Writes all of `/etc/asterisk` into a directory.
///
/// # Errors
/// When it cannot be written to.
pub fn write(dir: &Path, options: &AsteriskOptions) -> Result<(), LabError> {
    let pjsip = pjsip(options);
    for (name, text) in FILES.iter().copied().chain([("pjsip.conf", pjsip.as_str())]) {
        let path = dir.join(name);
        fs::write(&path, text).map_err(file("write", &path))?;
    }
    Ok(())
}

fn pjsip(options: &AsteriskOptions) -> String {
    // `debug` logs every SIP message that arrives or leaves: the tests' witness of what reached the server.
    let mut text = String::from(
        "[global]\ntype = global\ndebug = yes\n\n\
         [udp]\ntype = transport\nprotocol = udp\nbind = 0.0.0.0:5060\n\n\
         [tcp]\ntype = transport\nprotocol = tcp\nbind = 0.0.0.0:5060\n\n",
    );
    for Account { user, password } in ACCOUNTS {
        text.push_str(&format!(
            "[{user}]\ntype = endpoint\ncontext = phones\ndisallow = all\nallow = ulaw\n\
             direct_media = no\nauth = {user}\naors = {user}\n\n\
             [{user}]\ntype = auth\nauth_type = userpass\nusername = {user}\npassword = {password}\n\n\
             [{user}]\ntype = aor\nmax_contacts = 5\n\n"
        ));
    }
    if options.guests {
        text.push_str(
            "[anonymous]\ntype = endpoint\ncontext = public\ndisallow = all\nallow = ulaw\ndirect_media = no\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_come_in_only_when_asked_for() {
        assert!(!pjsip(&AsteriskOptions::default()).contains("anonymous"));
        assert!(pjsip(&AsteriskOptions { guests: true }).contains("[anonymous]"));
    }

    #[test]
    fn every_account_has_its_three_sections() {
        let text = pjsip(&AsteriskOptions::default());
        for account in ACCOUNTS {
            assert_eq!(text.matches(&format!("[{}]\n", account.user)).count(), 3);
            assert!(text.contains(&format!("password = {}\n", account.password)));
        }
    }
}
