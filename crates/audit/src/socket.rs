//! What listens on this host, as the kernel tells, and what that usually is.

use std::net::IpAddr;

/// How a socket is spoken to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Its name in small letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A socket that takes what others send.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Socket {
    pub protocol: Protocol,
    pub port: u16,
    pub address: IpAddr,
    /// The kernel's name of the program, if that could be seen. Any user may call his program anything.
    pub program: Option<String>,
}

impl Socket {
    /// Whether only this host reaches it.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }

    /// Whether it is one of these programs.
    #[must_use]
    pub fn is_of(&self, programs: &[&str]) -> bool {
        self.program.as_deref().is_some_and(|program| programs.contains(&program))
    }

    /// What it is told to be: by its program, else by its port.
    #[must_use]
    pub fn known(&self) -> Option<&'static Known> {
        let by_port = |known: &&Known| match self.protocol {
            Protocol::Tcp => known.tcp.contains(&self.port),
            Protocol::Udp => known.udp.contains(&self.port),
        };
        // Phones' files come from a web server, too; there the port says more than the program.
        let phones = KNOWN.iter().find(|known| known.role == Role::Provisioning && by_port(known));
        let by_program = || KNOWN.iter().find(|known| self.is_of(known.programs));
        phones.or_else(by_program).or_else(|| KNOWN.iter().find(by_port))
    }
}

/// Programs that are a PBX or a SIP proxy.
pub const PBX_PROGRAMS: &[&str] =
    &["asterisk", "freeswitch", "kamailio", "opensips", "rtpengine", "rtpproxy", "yate"];

/// Who should reach a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Whoever administers the host.
    Shell,
    /// Everybody: web, mail, tunnels.
    Public,
    /// Nobody: it asks others, and their answers come in.
    Client,
    /// Nobody from outside.
    Private,
    /// Nobody from outside: whoever reaches it commands the PBX.
    Control,
    /// Nobody from outside: it holds the PBX's data.
    Database,
    /// Phones only: it gives out their passwords.
    Provisioning,
}

/// A program or port that many hosts have.
#[derive(Debug, Eq, PartialEq)]
pub struct Known {
    /// As a service of a policy may be called.
    pub name: &'static str,
    pub role: Role,
    /// In words, as the middle of a sentence.
    pub what: &'static str,
    programs: &'static [&'static str],
    tcp: &'static [u16],
    udp: &'static [u16],
}

const fn known(
    name: &'static str,
    role: Role,
    what: &'static str,
    programs: &'static [&'static str],
    tcp: &'static [u16],
    udp: &'static [u16],
) -> Known {
    Known { name, role, what, programs, tcp, udp }
}

/// The more certain ones first.
const KNOWN: &[Known] = &[
    known("ssh", Role::Shell, "SSH", &["sshd", "dropbear"], &[22], &[]),
    known(
        "web",
        Role::Public,
        "a web server",
        &["apache2", "httpd", "nginx", "lighttpd", "caddy", "haproxy", "traefik"],
        &[80, 443],
        &[443],
    ),
    known(
        "mail",
        Role::Public,
        "a mail server",
        &["exim4", "master", "smtpd", "dovecot"],
        &[25, 465, 587, 993],
        &[],
    ),
    known("openvpn", Role::Public, "a tunnel", &["openvpn"], &[1194], &[1194]),
    known("wireguard", Role::Public, "a tunnel", &[], &[], &[51820]),
    known("ipsec", Role::Public, "a tunnel", &["charon", "pluto"], &[], &[500, 4500]),
    known(
        "dhcp-client",
        Role::Client,
        "a DHCP client",
        &["dhclient", "dhcpcd", "systemd-network"],
        &[],
        &[68, 546],
    ),
    known(
        "ntp",
        Role::Client,
        "the clock's own questions",
        &["chronyd", "ntpd", "systemd-timesyn"],
        &[],
        &[123, 323],
    ),
    known(
        "mdns",
        Role::Private,
        "names of the local network",
        &["avahi-daemon", "systemd-resolve"],
        &[5355],
        &[5353, 5355],
    ),
    known(
        "mysql",
        Role::Database,
        "a database (MySQL, MariaDB)",
        &["mysqld", "mariadbd"],
        &[3306, 33060],
        &[],
    ),
    known("postgresql", Role::Database, "a database (PostgreSQL)", &["postgres"], &[5432], &[]),
    known("redis", Role::Database, "a database (Redis)", &["redis-server", "valkey-server"], &[6379], &[]),
    known("mongodb", Role::Database, "a database (MongoDB)", &["mongod"], &[27017], &[]),
    known("memcached", Role::Database, "a store of data (memcached)", &["memcached"], &[11211], &[11211]),
    known("elasticsearch", Role::Database, "a database (Elasticsearch)", &[], &[9200, 9300], &[]),
    known("influxdb", Role::Database, "a database (InfluxDB)", &["influxd"], &[8086], &[]),
    known(
        "tftp",
        Role::Provisioning,
        "phones' files over TFTP",
        &["in.tftpd", "atftpd", "dnsmasq-tftp"],
        &[],
        &[69],
    ),
    known("provisioning", Role::Provisioning, "phones' files over HTTP", &[], &[83, 84], &[]),
    known(
        "dns",
        Role::Private,
        "a name server",
        &["named", "dnsmasq", "unbound", "pdns_recursor"],
        &[53],
        &[53],
    ),
    known("rpcbind", Role::Private, "rpcbind", &["rpcbind", "rpc.statd", "rpc.mountd"], &[111], &[111]),
    known("nfs", Role::Private, "files over NFS", &[], &[2049], &[2049]),
    known("samba", Role::Private, "files over SMB", &["smbd", "nmbd"], &[139, 445], &[137, 138]),
    known("ftp", Role::Private, "FTP, in plain text", &["vsftpd", "proftpd", "pure-ftpd"], &[20, 21], &[]),
    known("rsync", Role::Private, "files over rsync", &["rsync"], &[873], &[]),
    known(
        "telnet",
        Role::Private,
        "telnet, in plain text",
        &["telnetd", "in.telnetd"],
        &[23, 512, 513, 514],
        &[],
    ),
    known("snmp", Role::Private, "SNMP", &["snmpd"], &[], &[161]),
    known("syslog", Role::Private, "other hosts' logs", &["rsyslogd", "syslog-ng"], &[], &[514]),
    known("printing", Role::Private, "printing", &["cupsd", "cups-browsed"], &[631], &[631]),
    known("upnp", Role::Private, "UPnP", &[], &[], &[1900]),
    known(
        "desktop",
        Role::Private,
        "a desktop",
        &["Xorg", "Xvnc", "xrdp", "x11vnc"],
        &[3389, 5900, 5901, 6000],
        &[],
    ),
    known(
        "containers",
        Role::Private,
        "the command of containers",
        &["dockerd", "kubelet", "etcd"],
        &[2375, 2376, 2379, 10250],
        &[],
    ),
    known(
        "monitoring",
        Role::Private,
        "monitoring",
        &["node_exporter", "prometheus", "zabbix_agentd"],
        &[9100, 10050],
        &[],
    ),
    known(
        "administration",
        Role::Private,
        "an administrator's web page",
        &["miniserv.pl", "cockpit-tls"],
        &[9090, 10000],
        &[10000],
    ),
    known("manager", Role::Control, "Asterisk's manager interface", &[], &[5038, 5039], &[]),
    known("event-socket", Role::Control, "FreeSWITCH's event socket", &[], &[8021], &[]),
    known("asterisk-web", Role::Control, "Asterisk's web server, with ARI", &[], &[8088, 8089], &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(protocol: Protocol, port: u16, program: Option<&str>) -> Socket {
        Socket { protocol, port, address: [0, 0, 0, 0].into(), program: program.map(str::to_owned) }
    }

    #[test]
    fn the_program_says_more_than_the_port() {
        let name = |port, program| socket(Protocol::Tcp, port, program).known().map(|known| known.name);
        assert_eq!(name(2222, Some("sshd")), Some("ssh"));
        assert_eq!(name(22, None), Some("ssh"));
        assert_eq!(name(3306, Some("docker-proxy")), Some("mysql"));
        assert_eq!(name(84, Some("apache2")), Some("provisioning"));
        assert_eq!(name(4711, Some("acme")), None);
    }
}
