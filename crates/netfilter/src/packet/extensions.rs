//! IPv6's extension headers (RFC 8200 section 4).

use super::{Fragment, V6_HEADER_LEN, protocol};

/// Where IPv6's fragment header stands, for reassembly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FragmentHeader {
    /// Offset of the fragment header from the network header.
    pub at: usize,
    /// Offset of the byte that names it (`next header` of the header before).
    pub named_at: usize,
}

/// The way through IPv6's extension headers that `ipv6_find_hdr` takes.
pub(crate) struct ExtensionWalk {
    pub(crate) protocol: Option<u8>,
    pub(crate) offset: usize,
    pub(crate) fragment: Option<Fragment>,
    pub(super) fragment_header: Option<FragmentHeader>,
}

impl ExtensionWalk {
    pub(crate) fn run(bytes: &[u8], next_header: u8) -> Self {
        let mut walk = Self { protocol: None, offset: V6_HEADER_LEN, fragment: None, fragment_header: None };
        let mut named_at = NEXT_HEADER_AT;
        let mut current = next_header;
        // Each step moves on by 8 bytes or more, so the walk ends with the packet.
        while is_extension(current) && current != protocol::NO_NEXT_HEADER {
            let Some(&[next, units]) = bytes.get(walk.offset..).and_then(|rest| rest.first_chunk::<2>())
            else {
                return walk;
            };
            let len = match current {
                protocol::FRAGMENT => {
                    let Some(fragment) = fragment_at(bytes, walk.offset) else { return walk };
                    walk.fragment_header = Some(FragmentHeader { at: walk.offset, named_at });
                    walk.fragment = Some(fragment);
                    if fragment.offset > 0 {
                        walk.offset += 8;
                        // What follows is the middle of something; only a plain protocol number can be trusted.
                        walk.protocol =
                            (!is_extension(next) || next == protocol::NO_NEXT_HEADER).then_some(next);
                        return walk;
                    }
                    8
                }
                protocol::AH => (usize::from(units) + 2) * 4,
                _ => (usize::from(units) + 1) * 8,
            };
            named_at = walk.offset;
            walk.offset += len;
            current = next;
        }
        walk.protocol = Some(current);
        walk
    }
}

/// Offset of the fixed header's `next header` byte.
const NEXT_HEADER_AT: usize = 6;

fn fragment_at(bytes: &[u8], at: usize) -> Option<Fragment> {
    let &[_, _, o0, o1, i0, i1, i2, i3] = bytes.get(at..)?.first_chunk::<8>()?;
    let bits = u16::from_be_bytes([o0, o1]);
    Some(Fragment {
        offset: usize::from(bits & 0xfff8),
        more: bits & 1 != 0,
        id: u32::from_be_bytes([i0, i1, i2, i3]),
    })
}

/// `ipv6_ext_hdr`: what the kernel steps over.
fn is_extension(header: u8) -> bool {
    matches!(
        header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AH
            | protocol::NO_NEXT_HEADER
            | protocol::DESTINATION_OPTIONS
    )
}
