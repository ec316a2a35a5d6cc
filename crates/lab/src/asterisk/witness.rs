//! An Asterisk that testifies: its manager tells of security events, and it sends copies of its SIP messages.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::config::Account;
use crate::error::{LabError, file};
use crate::process::must;
use crate::tools;

/// The manager's user for Ringfence, with no more rights than needed.
pub const MANAGER: Account = Account { user: "ringfence", password: "lantern-29-manager" };
/// A user of the manager who is shown no security events.
pub const BLIND: Account = Account { user: "blind", password: "curtain-83-manager" };
/// The manager's ports in the PBX's namespace, on loopback only.
pub const MANAGER_PORT: u16 = 5038;
/// The same with TLS.
pub const MANAGER_TLS_PORT: u16 = 5039;
/// SIP over TLS, on every address.
pub const SIPS_PORT: u16 = 5061;
/// Where copies are sent to, by UDP to loopback, and with which password.
pub const HEP_PORT: u16 = 9060;
/// See [`HEP_PORT`].
pub const HEP_PASSWORD: &str = "mirror-17-copies";

/// The certificate and its key, in the directory of the configuration.
pub(super) const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";
const QUICK: Duration = Duration::from_secs(20);

/// Modules beside those that every lab has.
const MODULES: &str = "load = res_hep.so\nload = res_hep_pjsip.so\n";

/// Writes what differs into the directory of a configuration that is there.
pub(super) fn write(dir: &Path) -> Result<(), LabError> {
    certificate(dir)?;
    let manager = manager();
    let hep = format!(
        "[general]\nenabled = yes\ncapture_address = 127.0.0.1:{HEP_PORT}\ncapture_password = {HEP_PASSWORD}\n\
         capture_id = 7\nuuid_type = call-id\n"
    );
    let tls = format!(
        "\n[tls]\ntype = transport\nprotocol = tls\nbind = 0.0.0.0:{SIPS_PORT}\nmethod = tlsv1_2\n\
         cert_file = /etc/asterisk/{CERTIFICATE}\npriv_key_file = /etc/asterisk/{KEY}\n"
    );
    for (name, text, is_more) in [
        ("manager.conf", manager.as_str(), false),
        ("hep.conf", &hep, false),
        ("pjsip.conf", &tls, true),
        ("modules.conf", MODULES, true),
    ] {
        let path = dir.join(name);
        let before =
            if is_more { fs::read_to_string(&path).map_err(file("read", &path))? } else { String::new() };
        fs::write(&path, before + text).map_err(file("write", &path))?;
    }
    Ok(())
}

fn manager() -> String {
    let user = |Account { user, password }: Account, read: &str| {
        format!(
            "[{user}]\nsecret = {password}\ndeny = 0.0.0.0/0.0.0.0\npermit = 127.0.0.1/255.255.255.255\n\
             read = {read}\nwrite =\n"
        )
    };
    format!(
        "[general]\nenabled = yes\nbindaddr = 127.0.0.1\nport = {MANAGER_PORT}\ntlsenable = yes\n\
         tlsbindaddr = 127.0.0.1:{MANAGER_TLS_PORT}\ntlscertfile = /etc/asterisk/{CERTIFICATE}\n\
         tlsprivatekey = /etc/asterisk/{KEY}\n\n{}\n{}",
        user(MANAGER, "security,system"),
        user(BLIND, "system"),
    )
}

/// Made once for each lab; it signs itself.
fn certificate(dir: &Path) -> Result<(), LabError> {
    if dir.join(CERTIFICATE).exists() {
        return Ok(());
    }
    tools::need(&["openssl"])?;
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    command.args(["-nodes", "-days", "2", "-subj", "/CN=pbx", "-keyout", KEY, "-out", CERTIFICATE]);
    must(command, QUICK).map(|_| ())
}
