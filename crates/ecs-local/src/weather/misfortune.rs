//! Misfortunes: what happens to the tasks and deployments of an ECS service.

use serde::Deserialize;

/// Something that happens to the tasks or deployments of an ECS service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Misfortune {
    /// The service, or the family of a one-off task.
    pub service: String,
}
