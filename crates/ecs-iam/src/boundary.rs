//! The permissions boundary: the policy that limits what a role or a user may do.

use ecs_core::Change;

/// What differs, as [`Change::field`].
pub const FIELD: &str = "permissions boundary";

/// Compares; one that the stack file says nothing of is somebody else's.
pub fn change(is: &Option<String>, wanted: &Option<String>) -> Option<Change> {
    match (is, wanted) {
        (Some(is), None) => Some(Change::foreign(FIELD, is)),
        (is, wanted) => Change::of(FIELD, &is.clone().unwrap_or_default(), &wanted.clone().unwrap_or_default()),
    }
}
