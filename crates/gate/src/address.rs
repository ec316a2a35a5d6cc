//! Addresses of both families in one shape.

/// The address family of a packet.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Family {
    Ipv4 = 4,
    Ipv6 = 6,
}

/// An IPv6 address, or an IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2), so that one table
/// holds both. Aligned, because the kernel's verifier wants wide loads from the stack to be.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Address(pub [u8; 16]);

impl Address {
    /// Maps an IPv4 address.
    #[inline(always)]
    pub const fn v4(octets: [u8; 4]) -> Self {
        // As a number: the compiler would call a function to write ten zeros.
        Self((0xffff_0000_0000 | u32::from_be_bytes(octets) as u128).to_be_bytes())
    }

    /// The IPv4 address, whether or not this is one: the last four bytes.
    #[inline(always)]
    pub const fn low(self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0;
        [a, b, c, d]
    }

    /// The /64 of an IPv6 address: what one subscriber usually has.
    #[inline(always)]
    pub const fn high(self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }

    /// What counts as one source: the address, of IPv6 the /64.
    #[inline(always)]
    pub const fn source_key(self, family: Family) -> [u8; 16] {
        match family {
            Family::Ipv4 => self.0,
            Family::Ipv6 => (u128::from_be_bytes(self.0) >> 64 << 64).to_be_bytes(),
        }
    }

    /// As two numbers, for masking.
    #[inline(always)]
    pub const fn halves(self) -> (u64, u64) {
        let value = u128::from_be_bytes(self.0);
        ((value >> 64) as u64, value as u64)
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => Self::v4(v4.octets()),
            core::net::IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl Address {
    /// Back to the standard type.
    pub fn to_ip(self, family: Family) -> core::net::IpAddr {
        match family {
            Family::Ipv4 => core::net::IpAddr::V4(self.low().into()),
            Family::Ipv6 => core::net::IpAddr::V6(self.0.into()),
        }
    }
}
