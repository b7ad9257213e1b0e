//! How long each call takes, in real time.

use std::time::Duration;

use rand::RngExt as _;
use serde::Deserialize;

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874;

/// How long each call takes, in real time; calls at the same time wait together.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Latency {
    /// Half of the calls take less than this.
    #[serde(with = "humantime_serde")]
    pub median: Duration,
    /// One call in a hundred takes longer than this; none: every call takes the median.
    #[serde(with = "humantime_serde")]
    pub p99: Option<Duration>,
}

impl Latency {
    /// How long the next call takes: log-normal, as the times of calls over a network are.
    pub(crate) fn next(&self) -> Duration {
        let Some(p99) = self.p99.filter(|p99| *p99 > self.median && !self.median.is_zero()) else { return self.median };
        let sigma = (p99.as_secs_f64() / self.median.as_secs_f64()).ln() / Z99;
        let mut random = rand::rng();
        // Box and Muller: two even numbers make a normal one. 1 - x is never zero.
        let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        self.median.mul_f64((sigma * normal).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_calls_take_less_than_the_median_and_one_in_a_hundred_more_than_the_p99() {
        let millis = Duration::from_millis;
        let latency = Latency { median: millis(20), p99: Some(millis(200)) };
        let times: Vec<Duration> = (0..20_000).map(|_| latency.next()).collect();
        let above = |limit| times.iter().filter(|&&time| time > limit).count();
        // Ten standard deviations around 10,000 and 200.
        assert!((9_300..10_700).contains(&above(millis(20))), "{}", above(millis(20)));
        assert!((60..340).contains(&above(millis(200))), "{}", above(millis(200)));
    }

    #[test]
    fn without_a_p99_every_call_takes_the_median() {
        let latency = Latency { median: Duration::from_millis(5), p99: None };
        assert_eq!(latency.next(), latency.median);
    }
}
