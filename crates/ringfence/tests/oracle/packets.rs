//! Datagrams with right checksums.

use std::net::IpAddr;

/// Fields of an IP header that tests vary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) id: u16,
}

impl Ip {
    pub(crate) fn new(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        Self { source, destination, protocol, ttl: 64, id: 0 }
    }

    /// The datagram; the checksum at `checksum_at` of the payload is made right.
    pub(crate) fn datagram(&self, mut payload: Vec<u8>, checksum_at: Option<usize>) -> Vec<u8> {
        if let Some(at) = checksum_at {
            payload[at..at + 2].fill(0);
            let sum = self.transport_checksum(&payload);
            payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        [self.header(payload.len()), payload].concat()
    }

    fn header(&self, payload_len: usize) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let len = u16::try_from(payload_len + 20).expect("fits").to_be_bytes();
                let id = self.id.to_be_bytes();
                let mut header =
                    vec![0x45, 0, len[0], len[1], id[0], id[1], 0, 0, self.ttl, self.protocol, 0, 0];
                header.extend(source.octets());
                header.extend(destination.octets());
                fix_header(&mut header);
                header
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let len = u16::try_from(payload_len).expect("fits").to_be_bytes();
                let mut header = vec![0x60, 0, 0, 0, len[0], len[1], self.protocol, self.ttl];
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            _ => panic!("two families in one packet"),
        }
    }

    fn transport_checksum(&self, payload: &[u8]) -> u16 {
        let mut data = Vec::new();
        let v4 = self.source.is_ipv4();
        if !(v4 && self.protocol == 1) {
            for address in [self.source, self.destination] {
                match address {
                    IpAddr::V4(address) => data.extend(address.octets()),
                    IpAddr::V6(address) => data.extend(address.octets()),
                }
            }
            data.extend([0, self.protocol]);
            data.extend(u16::try_from(payload.len()).expect("fits").to_be_bytes());
        }
        data.extend(payload);
        let sum = checksum(&data);
        if sum == 0 && self.protocol == 17 { 0xffff } else { sum }
    }
}

/// Makes the checksum of an IPv4 header right.
pub(crate) fn fix_header(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 1071.
pub(crate) fn checksum(data: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    for pair in data.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// UDP with a right length.
pub(crate) fn udp(source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len() + 8).expect("fits");
    let mut bytes = [source, destination, len, 0].map(u16::to_be_bytes).concat();
    bytes.extend(data);
    bytes
}

/// Fields of a TCP header that tests vary.
#[derive(Clone, Debug, Default)]
pub(crate) struct TcpFields {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// Padded to a multiple of four.
    pub(crate) options: Vec<u8>,
}

pub(crate) fn tcp(fields: &TcpFields, data: &[u8]) -> Vec<u8> {
    let mut options = fields.options.clone();
    options.resize(options.len().next_multiple_of(4), 1);
    let mut bytes = [fields.source, fields.destination].map(u16::to_be_bytes).concat();
    bytes.extend(fields.sequence.to_be_bytes());
    bytes.extend(fields.acknowledgement.to_be_bytes());
    bytes.extend([u8::try_from((20 + options.len()) / 4).expect("fits") << 4, fields.flags]);
    bytes.extend(fields.window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.extend(data);
    bytes
}

/// ICMP or ICMPv6: type, code, four bytes, and what follows.
pub(crate) fn icmp(kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest);
    bytes.extend(data);
    bytes
}
