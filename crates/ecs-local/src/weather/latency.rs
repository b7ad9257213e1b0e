//! How long each call takes, in real time.

use std::time::Duration;

use serde::Deserialize;

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
