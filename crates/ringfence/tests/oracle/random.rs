//! Repeatable randomness.

/// xorshift64*.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The generator of one test: every run makes the same files and packets, so that a red run means a change. With
    /// `ORACLE_SEED=new` the clock gives the seed, which is printed; `ORACLE_SEED=NUMBER` repeats it.
    pub(crate) fn seeded(test: &str) -> Self {
        let by_name = || test.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
        let by_clock = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.expect("clock").as_nanos() as u64 >> 10
        };
        let seed = match std::env::var("ORACLE_SEED").as_deref() {
            Ok("new") => by_clock(),
            Ok(number) => number.parse().expect("ORACLE_SEED is `new` or a number"),
            Err(_) => by_name(),
        };
        eprintln!("{test}: ORACLE_SEED={seed}");
        Self::new(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(((self.next() >> 32) * u64::from(bound)) >> 32).expect("below")
    }

    pub(crate) fn one_in(&mut self, odds: u32) -> bool {
        self.below(odds) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(u32::try_from(choices.len()).expect("few")) as usize].clone()
    }
}
