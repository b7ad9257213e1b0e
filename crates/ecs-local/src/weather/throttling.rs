//! How many calls AWS lets through: a token bucket for each operation.

use serde::Deserialize;

/// How many calls are let through; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Throttling {}
