//! Ids in the shapes that AWS gives them.

/// Makes ids. The same seed gives the same ids, so tests are repeatable.
#[derive(Clone, Debug)]
pub(crate) struct Ids(u64);

impl Ids {
    pub(crate) fn new(seed: u64) -> Ids {
        Ids(seed)
    }

    /// The next number of the SplitMix64 sequence (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 32 hexadecimal digits: a task's.
    pub(crate) fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// 19 decimal digits: a deployment's, a service revision's.
    pub(crate) fn digits(&mut self) -> String {
        (1_000_000_000_000_000_000 + self.next() % 8_000_000_000_000_000_000).to_string()
    }

    /// A UUID: an event's, an attachment's.
    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.hex();
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// 21 letters and digits: a service deployment's.
    pub(crate) fn letters(&mut self) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..21).map(|_| char::from(LETTERS[(self.next() % 62) as usize])).collect()
    }

    /// 43 letters, digits, hyphens and underscores: a lifecycle hook's.
    pub(crate) fn secret(&mut self) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..43).map(|_| char::from(LETTERS[(self.next() % 64) as usize])).collect()
    }

    /// A network interface's id.
    pub(crate) fn eni(&mut self) -> String {
        format!("eni-{}", &self.hex()[..17])
    }
}
