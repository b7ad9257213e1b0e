//! Faults: what goes wrong with a call.

use std::time::Duration;

use serde::Deserialize;

/// Something that goes wrong with certain calls.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fault {
    /// The calls it befalls, by signing name and operation: "ec2:CreateVpc", "ecs:*", "*".
    pub call: String,
    /// Only calls about this: what the recorder calls the resource, with `*` for anything.
    #[serde(default)]
    pub resource: Option<String>,
    /// How many such calls pass unharmed first.
    #[serde(default)]
    pub after: usize,
    /// How many calls it befalls then; none: all.
    #[serde(default)]
    pub times: Option<usize>,
    /// How likely it is for each of those, from 0 to 1; none: certain.
    #[serde(default)]
    pub chance: Option<f64>,
    /// What goes wrong.
    #[serde(rename = "do")]
    pub what: Harm,
}

/// What can go wrong with a call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Refused as throttled, with the service's own code and status; no effect.
    Throttle,
    /// An error with this HTTP status (500, 503) and the service's own shape; no effect.
    Error(u16),
    /// The connection is reset; no effect.
    Reset,
    /// The request takes effect, and the connection breaks in the middle of the answer.
    Cut,
    /// The request takes effect, and the answer's body comes this much later, drop by drop.
    Slow(#[serde(with = "humantime_serde")] Duration),
    /// The credentials have expired: this call and all later ones are refused until the weather changes.
    Expire,
}
