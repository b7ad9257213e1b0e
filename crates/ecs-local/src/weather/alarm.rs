//! CloudWatch alarms that go off by script, in the midst of a deployment.

use std::time::Duration;

use serde::Deserialize;

/// An alarm that goes off by script, in each deployment of a service while this weather is on; it is over with the deployment.
///
/// It must have been made by PutMetricAlarm: one that is not there stays silent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Alarm {
    /// The alarm's name.
    pub name: String,
    /// The ECS service whose deployment sets it off.
    pub service: String,
    /// At which lifecycle stage of it: "BAKE_TIME". A canary bakes, and a linear shift waits between its steps, in
    /// "PRODUCTION_TRAFFIC_SHIFT"; a rolling deployment has "SCALE_UP" and "BAKE_TIME" only.
    pub stage: String,
    /// How long after the stage's begin, on the scaled clock.
    #[serde(default, with = "humantime_serde")]
    pub after: Duration,
}
