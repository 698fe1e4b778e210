//! Seeded random numbers: the same run on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether something happens that does in so many of a thousand cases.
    pub fn permille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    /// Uniform, above 0 and at most 1.
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number from `least` to `most`; of one alone, no number is drawn.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        if least >= most { most } else { least + self.next() % (most - least + 1) }
    }

    /// How many of `trials` succeed, each with `chance`: the failures between two successes are geometric.
    pub fn binomial(&mut self, trials: u64, chance: f64) -> u64 {
        if chance >= 1.0 {
            return trials;
        }
        let (scale, trials) = (1.0 / (1.0 - chance).ln(), trials as f64);
        let (mut at, mut successes) = (0.0, 0);
        loop {
            at += (self.uniform().ln() * scale).floor() + 1.0;
            if at > trials {
                return successes;
            }
            successes += 1;
        }
    }

    /// Gamma of mean 1 and a whole shape: a sum of exponentials.
    pub fn gamma(&mut self, shape: u32) -> f64 {
        -(0..shape).map(|_| self.uniform().ln()).sum::<f64>() / f64::from(shape)
    }

    /// Normal of mean 0 and deviation 1, from two uniform numbers (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (radius, turn) = ((-2.0 * self.uniform().ln()).sqrt(), self.uniform());
        radius * (std::f64::consts::TAU * turn).cos()
    }
}
