//! How many calls are let through: a bucket of tokens for each operation, as AWS keeps them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::pattern;

/// How many calls are let through; all of them by default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Throttling {
    /// Whose rates hold for the calls that no limit below is for.
    pub rates: Rates,
    /// How many times faster than said the buckets fill. Tests have less time than people.
    pub hurry: f64,
    /// Limits of certain calls; the first that a call matches holds.
    #[serde(rename = "limit")]
    pub limits: Vec<Limit>,
}

impl Default for Throttling {
    fn default() -> Throttling {
        Throttling { rates: Rates::None, hurry: 1.0, limits: Vec::new() }
    }
}

/// A set of rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rates {
    /// No limit.
    #[default]
    None,
    /// What AWS publishes; where it publishes nothing, 10 calls a second and a burst of 40.
    Aws,
}

/// A limit of certain calls: each operation has a bucket of its own in each region.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limit {
    /// The calls, by signing name and operation, with `*` for anything: "ecs:RegisterTaskDefinition".
    pub call: String,
    /// How many calls a second are let through in the long run.
    pub per_second: f64,
    /// How many calls are let through at once after a pause.
    pub burst: f64,
}

/// AWS's rates: calls, sustained rate per second, burst. The first match holds.
///
/// EC2: "Request throttling for the Amazon EC2 API" (non-mutating 20 and 100, mutating 5 and 50). ECS: "Request throttling for the
/// Amazon ECS API". ELBv2: "Throttling for the Elastic Load Balancing API". SSM and CloudWatch Logs: their service quotas.
const AWS: &[(&str, f64, f64)] = &[
    ("ec2:Describe*", 20.0, 100.0),
    ("ec2:*", 5.0, 50.0),
    ("ecs:RegisterTaskDefinition", 1.0, 20.0),
    ("ecs:*Cluster", 1.0, 20.0),
    ("ecs:*Clusters", 20.0, 50.0),
    ("ecs:Describe*", 20.0, 100.0),
    ("ecs:List*", 20.0, 100.0),
    ("ecs:*Service", 5.0, 50.0),
    ("elasticloadbalancing:CreateLoadBalancer", 0.2, 10.0),
    ("elasticloadbalancing:DeleteLoadBalancer", 0.2, 10.0),
    ("elasticloadbalancing:*egisterTargets", 40.0, 400.0),
    ("elasticloadbalancing:Describe*", 10.0, 40.0),
    ("elasticloadbalancing:*", 3.0, 20.0),
    ("ssm:PutParameter", 3.0, 3.0),
    ("ssm:Get*", 40.0, 40.0),
    ("logs:*", 10.0, 10.0),
];

/// Sustained rate and burst where AWS publishes nothing.
const UNPUBLISHED: (f64, f64) = (10.0, 40.0);

impl Throttling {
    /// The sustained rate per second and the burst of a call; none where it is not limited.
    fn limit(&self, call: &str) -> Option<(f64, f64)> {
        let own = self.limits.iter().find(|limit| pattern::matches(&limit.call, call));
        let limit = own.map(|limit| (limit.per_second, limit.burst)).or(match self.rates {
            Rates::None => None,
            Rates::Aws => {
                let known = AWS.iter().find(|(pattern, _, _)| pattern::matches(pattern, call));
                Some(known.map_or(UNPUBLISHED, |&(_, rate, burst)| (rate, burst)))
            }
        });
        limit.map(|(rate, burst)| (rate * self.hurry, burst))
    }
}

/// The buckets.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    /// By region and call.
    kept: Mutex<HashMap<(String, String), Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    /// When it was filled last, in seconds of real time.
    at: f64,
}

impl Buckets {
    /// Takes a token for a call at `now` (seconds of real time); says whether there was one.
    pub(crate) fn take(&self, throttling: &Throttling, region: &str, call: &str, now: f64) -> bool {
        let Some((rate, burst)) = throttling.limit(call) else { return true };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = kept.entry((region.to_owned(), call.to_owned())).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = (bucket.tokens + (now - bucket.at) * rate).min(burst);
        bucket.at = now;
        let enough = bucket.tokens >= 1.0;
        if enough {
            bucket.tokens -= 1.0;
        }
        enough
    }

    /// Fills every bucket.
    pub(crate) fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(throttling: &Throttling, buckets: &Buckets, call: &str, now: f64) -> usize {
        (0..200).filter(|_| buckets.take(throttling, "us-east-1", call, now)).count()
    }

    #[test]
    fn a_burst_goes_through_and_then_the_rate() {
        let throttling = Throttling { rates: Rates::Aws, ..Throttling::default() };
        let buckets = Buckets::default();
        assert_eq!(taken(&throttling, &buckets, "ecs:RegisterTaskDefinition", 0.0), 20);
        assert_eq!(taken(&throttling, &buckets, "ecs:RegisterTaskDefinition", 3.0), 3);
        assert_eq!(taken(&throttling, &buckets, "ecs:RegisterTaskDefinition", 1000.0), 20);
        // Each operation has its own bucket.
        assert_eq!(taken(&throttling, &buckets, "ecs:CreateService", 0.0), 50);
    }

    #[test]
    fn own_limits_come_first_and_hurry_fills_faster() {
        let throttling: Throttling =
            toml::from_str("hurry = 2\n[[limit]]\ncall = 'ec2:*'\nper-second = 1\nburst = 2").expect("throttling");
        let buckets = Buckets::default();
        assert_eq!(taken(&throttling, &buckets, "ec2:CreateVpc", 0.0), 2);
        assert_eq!(taken(&throttling, &buckets, "ec2:CreateVpc", 0.5), 1);
        assert_eq!(taken(&throttling, &buckets, "iam:GetRole", 0.0), 200);
    }
}
