//! What the PBX itself can tell. It stands in the policy where it works as it is, and as a suggestion where something is missing.

use audit::{Login, Manager};

use crate::Host;
use crate::text::{Writer, named, quoted};

pub(crate) fn write(host: &Host, writer: &mut Writer) {
    let Some((_, profile)) = &host.asterisk else { return };
    manager(host, profile.manager.as_ref(), writer);
    log(host, profile, writer);
}

fn manager(host: &Host, manager: Option<&Manager>, writer: &mut Writer) {
    let (file, secret) = (&host.manager_secret.0, host.manager_secret.1.as_deref());
    let table = |address: &str, user: &str| {
        format!(
            "[managers.pbx]\nkind = \"asterisk\"\naddress = {}\nuser = {}\nsecret-file = {}",
            quoted(address),
            quoted(user),
            quoted(file)
        )
    };
    let fits = |login: &&Login| login.hears_security && login.from_here;
    let works = manager.and_then(|manager| {
        let login = manager
            .logins
            .iter()
            .filter(fits)
            .find(|login| secret.is_some_and(|secret| login.has_secret(secret)))?;
        Some((manager, login))
    });
    let works = works.filter(|(manager, login)| is_good(&table(&manager.address(), &login.name)));
    if let Some((manager, login)) = works {
        let place = named(&login.place.to_string());
        writer.comment(&format!(
            "Asterisk tells over its manager interface who tries to get in, over TLS, too: {place}, and the secret in {file} is the \
             one of that user."
        ));
        writer.line(&table(&manager.address(), &login.name));
        writer.blank();
        return;
    }
    let missing = match manager {
        None => "manager.conf does not switch it on".to_owned(),
        Some(manager) => match manager.logins.iter().find(fits) {
            None => format!(
                "{} has no user with `read = security` whom this host may be",
                named(&manager.place.file)
            ),
            Some(login) => {
                format!(
                    "the secret of user `{}` ({}) is not in {file}",
                    named(&login.name),
                    named(&login.place.to_string())
                )
            }
        },
    };
    writer.comment(&format!(
        "Asterisk could tell over its manager interface who tries to get in, over TLS, too; but {missing}. docs/managers.md says what \
         to write into manager.conf; put the secret into {file} (mode 0600), then take the marks away:"
    ));
    let address = manager.map_or_else(|| "127.0.0.1:5038".to_owned(), Manager::address);
    let user =
        manager.and_then(|manager| manager.logins.iter().find(fits)).map_or("ringfence", |login| &login.name);
    let suggested = table(&address, user);
    writer.suggestion(if is_good(&suggested) { &suggested } else { "[managers.pbx]\nkind = \"asterisk\"" });
    writer.blank();
}

fn log(host: &Host, profile: &audit::Profile, writer: &mut Writer) {
    let Some(log) = &profile.security_log else {
        writer.comment(
            "Asterisk writes no log of security events: `security => security` in `[logfiles]` of logger.conf and `asterisk -rx \
             'logger reload'` make one, which a jail can search:",
        );
        writer.suggestion("[jails.asterisk]\nfiles = [\"/var/log/asterisk/security\"]");
        return;
    };
    let table = format!("[jails.asterisk]\nfiles = [{}]", quoted(&log.path));
    let place = named(&log.place.to_string());
    if !is_good(&table) {
        writer.comment(&format!(
            "Asterisk's log of security events ({place}) has a path that no jail can name."
        ));
        return;
    }
    match &host.log_fault {
        None => {
            writer.comment(&format!("Asterisk's log of security events: {place}."));
            writer.line(&table);
        }
        Some(fault) => {
            writer.comment(&format!(
                "Asterisk's log of security events ({place}) could be searched; but {}. When that is mended, take the marks away:",
                named(fault)
            ));
            writer.suggestion(&table);
        }
    }
}

/// Whether a policy may have this.
fn is_good(table: &str) -> bool {
    policy::Policy::parse("part", table.as_bytes().to_vec()).is_ok()
}
