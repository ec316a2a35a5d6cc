//! Who sends most of what is dropped, in bounded memory (the space-saving algorithm of Metwally, Agrawal and El Abbadi, 2005):
//! whoever sends more than one in `TALKERS` of all is among them, and never counted too low by more than that.

use std::collections::HashMap;
use std::net::IpAddr;

/// Addresses that are counted.
const TALKERS: usize = 512;

/// Counts per address.
#[derive(Debug, Default)]
pub(crate) struct Talkers {
    counts: HashMap<IpAddr, Count>,
}

/// What is known of one of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Count {
    /// Packets, at most.
    pub(crate) packets: u64,
    /// Of these, such that may have been somebody else's.
    pub(crate) doubt: u64,
    /// The last reason, as a number of [`gate::Reason`].
    pub(crate) reason: u8,
}

impl Talkers {
    /// One more dropped packet.
    pub(crate) fn add(&mut self, address: IpAddr, reason: u8) {
        if let Some(count) = self.counts.get_mut(&address) {
            count.packets += 1;
            count.reason = reason;
            return;
        }
        let mut doubt = 0;
        if self.counts.len() >= TALKERS
            && let Some((quietest, count)) = self.counts.iter().min_by_key(|(_, count)| count.packets)
        {
            doubt = count.packets;
            let quietest = *quietest;
            self.counts.remove(&quietest);
        }
        self.counts.insert(address, Count { packets: doubt + 1, doubt, reason });
    }

    /// Half of everything is forgotten, so that what is old makes room for what is new.
    pub(crate) fn fade(&mut self) {
        self.counts.retain(|_, count| {
            count.packets /= 2;
            count.doubt /= 2;
            count.packets > 0
        });
    }

    /// The `most` loudest, loudest first.
    pub(crate) fn loudest(&self, most: usize) -> Vec<(IpAddr, Count)> {
        let mut all: Vec<_> = self.counts.iter().map(|(address, count)| (*address, *count)).collect();
        all.sort_by_key(|(address, count)| (std::cmp::Reverse(count.packets), *address));
        all.truncate(most);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudest_stays_among_forged_addresses() {
        let mut talkers = Talkers::default();
        let loud: IpAddr = [203, 0, 113, 9].into();
        for number in 0..100_000u32 {
            talkers.add(if number % 50 == 0 { loud } else { IpAddr::V4(number.into()) }, 1);
        }
        let (first, count) = talkers.loudest(3)[0];
        assert_eq!(first, loud);
        assert!((2000..2300).contains(&count.packets), "{count:?}");
        assert!(talkers.counts.len() <= TALKERS);
        for _ in 0..20 {
            talkers.fade();
        }
        assert_eq!(talkers.loudest(3), []);
    }
}
