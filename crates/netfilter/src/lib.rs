//! What Linux netfilter would do with a packet: the packet as its hooks see it, reassembly, connection tracking and rule
//! evaluation. Pure computation: packets and `now` go in, decisions come out.
#![forbid(unsafe_code)]

pub mod conntrack;
pub mod defrag;
pub mod packet;
pub mod rules;
pub mod stack;
