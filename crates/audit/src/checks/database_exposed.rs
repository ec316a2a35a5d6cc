//! `database-exposed`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;
use crate::socket::Role;

pub(super) const CHECK: Check = Check {
    id: "database-exposed",
    severity: Severity::High,
    title: "a database can be reached from outside",
    why: "FreePBX keeps extensions, secrets and call records in it, and guessing passwords there is told to nobody.",
    asterisk: "let it listen on 127.0.0.1: `bind-address` for MariaDB and MySQL, `listen_addresses` for PostgreSQL, `bind` for \
        Redis; or let the policy keep it closed.",
    freepbx: "set `bind-address = 127.0.0.1` in /etc/mysql/mariadb.conf.d; the pages have no switch for it.",
    about: "Told for sockets beyond loopback of databases, by their program or their usual port, whether a firewall stands \
        before them or not.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for open in pbx.exposed() {
        if let Some(known) = open.socket.known().filter(|known| known.role == Role::Database) {
            found.add_socket(&open, format!("{}: {open}", known.what));
        }
    }
}
