//! What the status of a DB instance means:
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html>.

use ecs_core::Health;

/// Statuses in which an instance takes connections; each but the first is some work that RDS does meanwhile.
const USABLE: [&str; 7] = [
    "available",
    "backing-up",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "storage-initialization",
    // Up to a day and more, in which the instance remains available.
    "storage-optimization",
];

/// Statuses that end only when somebody does something, and what that is.
const STUCK: [(&str, &str); 13] = [
    ("failed", "RDS cannot recover it: restore a snapshot, or destroy it with --skip-final-snapshot"),
    ("inaccessible-encryption-credentials", "its KMS key cannot be used: restore it from a backup"),
    (
        "inaccessible-encryption-credentials-recoverable",
        "its KMS key cannot be used: enable the key, then start the instance",
    ),
    ("incompatible-create", "RDS cannot make it with these settings: destroy it, and change the stack file"),
    ("incompatible-network", "RDS cannot work in its subnets: is there a free address, does the VPC still exist?"),
    ("incompatible-option-group", "its option group does not fit: change it"),
    ("incompatible-parameters", "values of its DB parameter group do not fit: reset them, then reboot"),
    ("incompatible-restore", "RDS cannot restore it to that point in time"),
    ("insufficient-capacity", "RDS has no room for this instance class: choose another class"),
    ("restore-error", "RDS could not restore it from a snapshot"),
    ("stopped", "somebody has stopped it: start it"),
    ("stopping", "somebody is stopping it: start it when it has stopped"),
    (STORAGE_FULL, "its storage is full: raise `db.allocated_storage` in the stack file"),
];

/// Statuses in which RDS takes no final snapshot:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html>
const NO_SNAPSHOT: [&str; 3] = ["failed", "incompatible-restore", "incompatible-network"];

/// Status of an instance that is on its way out.
pub const DELETING: &str = "deleting";
/// Status of an instance that needs more storage.
pub const STORAGE_FULL: &str = "storage-full";

/// Says whether an instance of this status can be used.
pub fn health(status: &str) -> Health {
    if USABLE.contains(&status) {
        return Health::Ready;
    }
    if status == DELETING {
        return Health::Leaving("being deleted".to_owned());
    }
    match STUCK.iter().find(|(stuck, _)| *stuck == status) {
        Some((_, meaning)) => Health::Failed(format!("{status}: {meaning}")),
        // One that RDS has since learnt; the document that this list is from knows five.
        None if status.starts_with("incompatible-") => Health::Failed(status.to_owned()),
        None => Health::Pending(status.to_owned()),
    }
}

/// Says whether RDS can take a final snapshot of an instance of this status, at once or when it is available again.
pub fn allows_snapshot(status: &str) -> bool {
    !NO_SNAPSHOT.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_ready_pending_or_stuck() {
        for status in ["available", "backing-up", "storage-optimization"] {
            assert_eq!(health(status), Health::Ready, "{status}");
        }
        for status in ["creating", "modifying", "rebooting", "upgrading", "starting", "maintenance"] {
            assert_eq!(health(status), Health::Pending(status.to_owned()), "{status}");
        }
        for status in ["failed", "incompatible-network", "incompatible-new", "storage-full", "stopped"] {
            assert!(matches!(health(status), Health::Failed(why) if why.starts_with(status)), "{status}");
        }
        assert_eq!(health("deleting"), Health::Leaving("being deleted".to_owned()));
    }
}
