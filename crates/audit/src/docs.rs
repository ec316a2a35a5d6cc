//! `docs/audit.md`, from the registry.

use std::fmt::Write as _;

use crate::checks::REGISTRY;

const HEAD: &str = "\
# Audit

<!-- Written by `UPDATE_GOLDEN=1 cargo test -p audit --test docs`; do not edit. -->

`ringfence audit` reads Asterisk's own configuration, with everything that it includes, and says what is weak about it: where, why
that matters, and how to mend it in Asterisk's files or FreePBX's pages. It changes nothing, runs nothing and never prints a secret.

```
ringfence audit                                   text for people; status 1 when something needs attention
ringfence audit --asterisk-dir ./etc-asterisk     another folder than /etc/asterisk
ringfence audit --format json                     an object a line: id, severity, file, line, message, fix
ringfence audit --accepted /etc/ringfence/accepted
ringfence audit --policy ./policy.toml            another policy than /etc/ringfence/policy.toml
```

Status 0: nothing needs attention; 1: something does; 3: a file cannot be read.

It reads acl.conf, ari.conf, asterisk.conf, extensions.conf, http.conf, iax.conf, logger.conf, manager.conf, modules.conf, pjsip.conf, pjsip_wizard.conf,
rtp.conf, sip.conf and voicemail.conf. Files of modules that modules.conf does not load are left out. What is not in files (realtime
databases, AEL, Lua) is not seen.

Where the directory is the one in force on this host (/etc/asterisk, or the one that its own asterisk.conf names as `astetcdir`), it looks
at the sockets that listen, too, and at the policy: what others reach of the PBX and its databases whatever the files say, and media
ports that the policy has otherwise. As root it sees which program has a socket; without, it goes by the port. A finding about a
socket has no line: in JSON its `file` is protocol and port (`tcp/3306`) and its `line` is 0. A copy of a configuration is judged by its files.

## Accepted findings

A line each in the file of `--accepted`: the id, where it is accepted (nowhere else; without, everywhere), and why.

```
plain-media pjsip.endpoint.conf:carrier   # the carrier has no SRTP; asked on 2026-03-01
rtp-range                                 # 3,000 calls at the same time
database-exposed tcp/3306                 # the second node reads it; the policy opens it to that
```

A line without a reason is a mistake; one that silences nothing is told on stderr.

## Findings

| id | severity | |
|---|---|---|
";

/// The document.
#[must_use]
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for check in REGISTRY {
        let (id, severity) = (check.id, check.severity.as_str());
        let _ = writeln!(text, "| [`{id}`](#{id}) | {severity} | {} |", check.title);
    }
    for check in REGISTRY {
        let _ = write!(
            text,
            "\n## {}\n\n*{}: {}.* {}\n\n{}\n\n- Asterisk: {}\n- FreePBX: {}\n",
            check.id,
            check.severity.as_str(),
            check.title,
            check.why,
            check.about,
            check.asterisk,
            check.freepbx
        );
    }
    text
}
