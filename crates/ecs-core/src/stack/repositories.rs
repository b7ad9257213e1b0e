//! The `[ecr]` table: image repositories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes what all image repositories share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EcrConfig {
    /// Whether a tag may be pushed again
    pub mutability: TagMutability,
    /// Number of images that the lifecycle policy keeps
    #[schemars(range(min = 1))]
    pub keep_images: u32,
    /// Scan each image when it is pushed
    pub scan_on_push: bool,
}

/// Says whether an image tag may be pushed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TagMutability {
    /// A tag can be moved to another image
    Mutable,
    /// A tag names one image for ever
    Immutable,
}
