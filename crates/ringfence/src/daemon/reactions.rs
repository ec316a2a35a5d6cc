//! How long it took from the packet that gave a source away, as the gate saw it, to the ban in the kernel's map.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// Bans that are remembered.
const MOST: usize = 1024;

/// The last bans that came of packets; what logs and PBXs told has no such time.
#[derive(Debug, Default)]
pub(crate) struct Reactions {
    /// Nanoseconds.
    times: VecDeque<u64>,
}

impl Reactions {
    /// A ban is in the kernel's map, so many nanoseconds after the gate saw its cause.
    pub(crate) fn add(&mut self, nanoseconds: u64) {
        if self.times.len() >= MOST {
            self.times.pop_front();
        }
        self.times.push_back(nanoseconds);
    }

    /// For `status`, in microseconds; `null` without any.
    pub(crate) fn json(&self) -> Value {
        let mut sorted: Vec<u64> = self.times.iter().copied().collect();
        sorted.sort_unstable();
        // The smallest that at least so many of a hundred do not exceed.
        let of_hundred = |part: usize| {
            let at = (sorted.len() * part).div_ceil(100).max(1) - 1;
            sorted.get(at).map(|time| time / 1000)
        };
        json!({
            "bans": sorted.len(),
            "median_us": of_hundred(50),
            "of_hundred_99_us": of_hundred(99),
            "longest_us": of_hundred(100),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_are_no_slower_than_the_median() {
        let mut reactions = Reactions::default();
        assert_eq!(reactions.json().pointer("/median_us"), Some(&Value::Null));
        for number in (1..=200).rev() {
            reactions.add(number * 1000);
        }
        let told = json!({ "bans": 200, "median_us": 100, "of_hundred_99_us": 198, "longest_us": 200 });
        assert_eq!(reactions.json(), told);
        for _ in 0..MOST {
            reactions.add(7999);
        }
        let told = json!({ "bans": MOST, "median_us": 7, "of_hundred_99_us": 7, "longest_us": 7 });
        assert_eq!(reactions.json(), told);
    }
}
