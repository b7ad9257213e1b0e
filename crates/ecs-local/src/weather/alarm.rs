//! CloudWatch alarms that go off by script, in the midst of a deployment.

use std::time::Duration;

use serde::Deserialize;

/// An alarm that goes off by script.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Alarm {
    /// The alarm's name.
    pub name: String,
    /// The ECS service whose deployment sets it off.
    pub service: String,
    /// At which lifecycle stage of it: "BAKE_TIME".
    pub stage: String,
    /// How long after the stage's begin, on the scaled clock.
    #[serde(default, with = "humantime_serde")]
    pub after: Duration,
}
