//! Eventual consistency: for how long what was made is not found yet, and what was deleted is still listed.

use std::time::Duration;

use serde::Deserialize;

/// How late what was made or deleted shows. All of it on the scaled clock; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Consistency {
    /// For how long something new is "not found", and something deleted still listed: "2s".
    #[serde(with = "humantime_serde")]
    pub lag: Duration,
    /// For how long a new role can be neither assumed nor passed: "8s".
    #[serde(with = "humantime_serde")]
    pub roles: Duration,
}
