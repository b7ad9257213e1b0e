//! How a DB instance differs from the stack file.

use std::collections::BTreeSet;

use aws_sdk_rds::types::DbInstance;
use ecs_core::id::SecurityGroupId;
use ecs_core::stack::{DbConfig, PasswordStore};
use ecs_core::{Change, Stack};

use crate::engine_version::{ENGINE, numbers};
use crate::status::DELETING;

/// Field of a [`Change`]: the instance class.
pub const CLASS: &str = "instance class";
/// Field of a [`Change`]: the allocated storage in GiB.
pub const STORAGE: &str = "allocated storage";
/// Field of a [`Change`]: the storage type.
pub const STORAGE_TYPE: &str = "storage type";
/// Field of a [`Change`]: the limit of storage autoscaling in GiB.
pub const MAX_STORAGE: &str = "storage autoscaling limit";
/// Field of a [`Change`]: the days that backups are kept.
pub const BACKUPS: &str = "backup retention days";
/// Field of a [`Change`]: automatic minor upgrades.
pub const MINOR_UPGRADES: &str = "automatic minor version upgrade";
/// Field of a [`Change`]: the minor version.
pub const VERSION: &str = "engine version";
/// Field of a [`Change`]: the standby.
pub const MULTI_AZ: &str = "multi-AZ";
/// Field of a [`Change`]: deletion protection.
pub const PROTECTION: &str = "deletion protection";
/// Field of a [`Change`]: the public address.
pub const PUBLIC: &str = "publicly accessible";
/// Field of a [`Change`]: the TCP port.
pub const PORT: &str = "port";
/// Field of a [`Change`]: one security group.
pub const SECURITY_GROUP: &str = "security group";
/// Field of a [`Change`]: one log that is sent to CloudWatch Logs.
pub const LOG_EXPORT: &str = "log export";
/// Field of a [`Change`]: the DB parameter group.
pub const PARAMETER_GROUP: &str = "DB parameter group";
/// Field of a [`Change`]: who keeps the master password.
pub const PASSWORD: &str = "password kept in";

/// The instance as the stack file and the layers before want it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The stack file's section
    pub config: DbConfig,
    /// Name of the DB subnet group
    pub subnet_group: String,
    /// The database's security group
    pub security_group: SecurityGroupId,
    /// Name of the DB parameter group; none where the file gives no parameters
    pub parameter_group: Option<String>,
}

impl Wanted {
    /// Makes what is wanted of a stack's instance.
    pub fn new(
        stack: &Stack,
        subnet_group: &str,
        security_group: SecurityGroupId,
        parameter_group: Option<String>,
    ) -> Self {
        let config = stack.db.clone();
        Self { config, subnet_group: subnet_group.to_owned(), security_group, parameter_group }
    }

    /// Returns the limit of storage autoscaling, none where it is off: a limit that storage has reached is none.
    pub fn max_storage(&self, storage: i32) -> Option<i32> {
        self.config.max_allocated_storage.filter(|max| *max > storage)
    }
}

/// Compares an instance with what is wanted.
///
/// What RDS has accepted but not yet done, the pending modified values, counts as done. What RDS does not tell, such as
/// the endpoint of an instance that is being made, differs from nothing.
pub fn changes(wanted: &Wanted, live: &DbInstance) -> Vec<Change> {
    let config = &wanted.config;
    if live.db_instance_status() == Some(DELETING) {
        return Vec::new();
    }
    let pending = live.pending_modified_values();
    let class = pending.and_then(|p| p.db_instance_class()).or(live.db_instance_class());
    let storage_type = pending.and_then(|p| p.storage_type()).or(live.storage_type());
    let backups = pending.and_then(|p| p.backup_retention_period()).or(live.backup_retention_period());
    let multi_az = pending.and_then(|p| p.multi_az()).or(live.multi_az());
    let port = pending.and_then(|p| p.port()).or(live.endpoint().and_then(|endpoint| endpoint.port()));
    let mut changes: Vec<_> = [
        fixed(wanted, live),
        vec![
            differs(CLASS, class, &config.instance_class.as_str()),
            storage(wanted, live),
            differs(STORAGE_TYPE, storage_type, &config.storage_type.as_str()),
            max_storage(wanted, live),
            differs(BACKUPS, backups, &config.backup_retention_days),
            differs(MINOR_UPGRADES, live.auto_minor_version_upgrade(), &config.auto_minor_version_upgrade),
            version(wanted, live),
            differs(MULTI_AZ, multi_az, &config.multi_az),
            differs(PROTECTION, live.deletion_protection(), &config.deletion_protection),
            differs(PUBLIC, live.publicly_accessible(), &false),
            differs(PORT, port, &i32::from(config.port)),
            password(wanted, live),
            parameter_group(wanted, live),
        ],
    ]
    .into_iter()
    .flatten()
    .flatten()
    .collect();
    changes.extend(security_groups(wanted, live));
    changes.extend(log_exports(wanted, live));
    changes
}

/// Returns the storage that an instance has, or will have.
pub fn allocated(live: &DbInstance) -> Option<i32> {
    live.pending_modified_values().and_then(|pending| pending.allocated_storage()).or(live.allocated_storage())
}

fn differs<T: PartialEq + ToString>(field: &'static str, live: Option<T>, wanted: &T) -> Option<Change> {
    live.and_then(|live| Change::of(field, &live, wanted))
}

/// Compares what an instance keeps for life: another one would be another, empty database.
fn fixed(wanted: &Wanted, live: &DbInstance) -> Vec<Option<Change>> {
    let config = &wanted.config;
    let replace = |what: &str| {
        format!(
            "RDS cannot change {what}: set it in the stack file to what it is, or give `db.identifier` another name for \
             a new, empty database"
        )
    };
    let group = live.db_subnet_group().and_then(|group| group.db_subnet_group_name());
    let name = live.db_name().unwrap_or_default();
    let encrypted = live.storage_encrypted().unwrap_or_default();
    vec![
        differs("engine", live.engine(), &ENGINE).map(|change| change.refused(replace("the engine"))),
        differs("master user", live.master_username(), &config.user.as_str())
            .map(|change| change.refused(replace("the master user"))),
        differs("database", Some(name), &config.database.as_str())
            .map(|change| change.refused(replace("the name of the first database"))),
        differs("encrypted", Some(encrypted), &config.encrypted)
            .map(|change| change.refused(replace("the encryption in place"))),
        differs("DB subnet group", group, &wanted.subnet_group.as_str()).map(|change| {
            change.refused(
                "another DB subnet group is a move to another VPC: set `db.subnet_group` to what it is, or give \
                 `db.identifier` another name for a new, empty database",
            )
        }),
    ]
}

/// Compares the storage: it can grow only.
///
/// Autoscaling makes it larger than the file says, and RDS itself rounds a step of less than 10 % up to that:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html>. Both are left.
fn storage(wanted: &Wanted, live: &DbInstance) -> Option<Change> {
    let config = &wanted.config;
    let is = allocated(live)?;
    let change = Change::of(STORAGE, &is, &config.allocated_storage)?;
    let rounded = i64::from(is) <= (i64::from(config.allocated_storage) * 11 + 9) / 10;
    if is < config.allocated_storage {
        Some(change)
    } else if rounded || config.max_allocated_storage.is_some() {
        None
    } else {
        Some(change.refused(format!("storage cannot shrink: set `db.allocated_storage` to {is} in the stack file")))
    }
}

/// Compares the limit of autoscaling; RDS reads it back as the storage itself where it is off.
fn max_storage(wanted: &Wanted, live: &DbInstance) -> Option<Change> {
    let storage = allocated(live)?;
    let is = live.max_allocated_storage().filter(|max| *max > storage);
    let text = |max: Option<i32>| max.map_or("off".to_owned(), |max| max.to_string());
    Change::of(MAX_STORAGE, &text(is), &text(wanted.max_storage(storage)))
}

/// Compares the version: a newer minor one is as good, since RDS installs them itself.
fn version(wanted: &Wanted, live: &DbInstance) -> Option<Change> {
    let pending = live.pending_modified_values().and_then(|pending| pending.engine_version());
    let is = pending.or(live.engine_version())?;
    let to = wanted.config.engine_version.as_deref()?;
    let (is_numbers, to_numbers) = (numbers(is)?, numbers(to)?);
    let change = Change::update(VERSION, is, to);
    if is_numbers.first() != to_numbers.first() {
        return Some(change.refused(format!(
            "a major version is never changed by the way: upgrade it with a snapshot at hand in the RDS console, or set \
             `db.engine_version` to {is}"
        )));
    }
    (is_numbers < to_numbers).then_some(change)
}

fn password(wanted: &Wanted, live: &DbInstance) -> Option<Change> {
    let name = |managed: bool| if managed { "Secrets Manager" } else { "the Parameter Store" };
    let managed = wanted.config.password == PasswordStore::SecretsManager;
    Change::of(PASSWORD, &name(live.master_user_secret().is_some()), &name(managed))
}

/// Compares the DB parameter group: one of ours that the file no longer asks for is of before, any other is somebody's.
fn parameter_group(wanted: &Wanted, live: &DbInstance) -> Option<Change> {
    let is = live.db_parameter_groups().first()?.db_parameter_group_name()?;
    match &wanted.parameter_group {
        Some(to) => Change::of(PARAMETER_GROUP, &is, &to.as_str()),
        None => default_group(&wanted.config.identifier, is).map(|_| Change::former(PARAMETER_GROUP, is)),
    }
}

/// Returns RDS's own group of the same major version, for a group of ours: `default.postgres17`.
pub fn default_group(identifier: &str, group: &str) -> Option<String> {
    let family = group.strip_prefix(identifier)?.strip_prefix('-')?;
    family.strip_prefix("postgres")?.parse::<u32>().ok().map(|_| format!("default.{family}"))
}

/// Compares the logs that RDS sends: the file's must be there, others are somebody's.
fn log_exports(wanted: &Wanted, live: &DbInstance) -> Vec<Change> {
    let pending = live.pending_modified_values().and_then(|pending| pending.pending_cloudwatch_logs_exports());
    // RDS's words are from its own view: "to enable" is what it is about to send.
    let starts = pending.map(|pending| pending.log_types_to_enable()).unwrap_or_default();
    let stops = pending.map(|pending| pending.log_types_to_disable()).unwrap_or_default();
    let present = live.enabled_cloudwatch_logs_exports().iter().chain(starts);
    let present: BTreeSet<&str> = present.filter(|log| !stops.contains(log)).map(String::as_str).collect();
    let ours: BTreeSet<&str> = wanted.config.log_exports.iter().map(|export| export.name()).collect();
    let missing = ours.difference(&present).map(|log| Change::update(LOG_EXPORT, "", *log));
    let others = present.difference(&ours).map(|log| Change::foreign(LOG_EXPORT, *log));
    missing.chain(others).collect()
}

/// Compares the security groups: ours must be there, others are somebody's.
fn security_groups(wanted: &Wanted, live: &DbInstance) -> Vec<Change> {
    let ours = wanted.security_group.as_str();
    let present = present_security_groups(live);
    let missing = (!present.contains(&ours)).then(|| Change::update(SECURITY_GROUP, "", ours));
    let others = present.iter().filter(|group| **group != ours).map(|group| Change::foreign(SECURITY_GROUP, *group));
    missing.into_iter().chain(others).collect()
}

/// Returns the security groups that an instance has; one that is being removed is none.
pub fn present_security_groups(live: &DbInstance) -> Vec<&str> {
    let groups = live.vpc_security_groups().iter().filter(|group| group.status() != Some("removing"));
    groups.filter_map(|group| group.vpc_security_group_id()).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::builders::DbInstanceBuilder;
    use aws_sdk_rds::types::{
        DbSubnetGroup, Endpoint, MasterUserSecret, PendingModifiedValues, VpcSecurityGroupMembership,
    };
    use ecs_core::resource::Means;

    use super::*;

    fn wanted(change: impl Fn(&mut DbConfig)) -> Wanted {
        let mut stack = Stack::default();
        change(&mut stack.db);
        Wanted::new(&stack, "ecs-db-subnet-group", "sg-db".into(), None)
    }

    fn security_group(id: &str, status: &str) -> VpcSecurityGroupMembership {
        VpcSecurityGroupMembership::builder().vpc_security_group_id(id).status(status).build()
    }

    /// What RDS reads back of the tutorial's instance.
    fn live() -> DbInstanceBuilder {
        DbInstance::builder()
            .db_instance_identifier("ecs-postgres-db")
            .db_instance_class("db.t3.medium")
            .engine("postgres")
            .engine_version("17.6")
            .db_instance_status("available")
            .master_username("postgres")
            .db_name("fileanalyzer")
            .endpoint(Endpoint::builder().address("ecs-postgres-db.x.us-east-1.rds.amazonaws.com").port(5432).build())
            .allocated_storage(20)
            .iops(3000)
            .storage_throughput(125)
            .storage_type("gp3")
            .backup_retention_period(7)
            .vpc_security_groups(security_group("sg-db", "active"))
            .db_subnet_group(DbSubnetGroup::builder().db_subnet_group_name("ecs-db-subnet-group").build())
            .pending_modified_values(PendingModifiedValues::builder().build())
            .multi_az(false)
            .auto_minor_version_upgrade(true)
            .publicly_accessible(false)
            .storage_encrypted(true)
            .db_instance_port(0)
            .deletion_protection(false)
    }

    fn pending(
        change: impl Fn(aws_sdk_rds::types::builders::PendingModifiedValuesBuilder) -> PendingModifiedValues,
    ) -> PendingModifiedValues {
        change(PendingModifiedValues::builder())
    }

    #[test]
    fn what_was_made_as_wanted_has_no_changes() {
        assert_eq!(changes(&wanted(|_| {}), &live().build()), []);
    }

    #[test]
    fn an_instance_being_made_has_no_changes() {
        // "The endpoint might not be shown for instances with the status of creating"; multi-AZ is pending meanwhile.
        let creating = live()
            .set_endpoint(None)
            .db_instance_status("creating")
            .pending_modified_values(pending(|p| p.multi_az(true).master_user_password("****").build()))
            .vpc_security_groups(security_group("sg-db", "adding"))
            .build();
        assert_eq!(changes(&wanted(|db| db.multi_az = true), &creating), []);
    }

    #[test]
    fn what_can_be_changed_is() {
        let secret = MasterUserSecret::builder().secret_arn("arn:aws:secretsmanager:x").secret_status("active").build();
        let cases: [(Wanted, DbInstance, &[&str]); 15] = [
            (
                wanted(|db| db.instance_class = "db.m7g.large".into()),
                live().build(),
                &["instance class: db.t3.medium -> db.m7g.large"],
            ),
            (wanted(|db| db.allocated_storage = 50), live().build(), &["allocated storage: 20 -> 50"]),
            (wanted(|db| db.storage_type = "gp2".into()), live().build(), &["storage type: gp3 -> gp2"]),
            (
                wanted(|db| db.max_allocated_storage = Some(100)),
                live().build(),
                &["storage autoscaling limit: off -> 100"],
            ),
            (wanted(|_| {}), live().max_allocated_storage(100).build(), &["storage autoscaling limit: 100 -> off"]),
            (wanted(|db| db.backup_retention_days = 14), live().build(), &["backup retention days: 7 -> 14"]),
            (
                wanted(|db| db.auto_minor_version_upgrade = false),
                live().build(),
                &["automatic minor version upgrade: true -> false"],
            ),
            (wanted(|db| db.engine_version = Some("17.10".into())), live().build(), &["engine version: 17.6 -> 17.10"]),
            (wanted(|db| db.multi_az = true), live().build(), &["multi-AZ: false -> true"]),
            (wanted(|db| db.deletion_protection = true), live().build(), &["deletion protection: false -> true"]),
            (wanted(|_| {}), live().publicly_accessible(true).build(), &["publicly accessible: true -> false"]),
            (wanted(|db| db.port = 5433), live().build(), &["port: 5432 -> 5433"]),
            (
                wanted(|db| db.password = PasswordStore::SecretsManager),
                live().build(),
                &["password kept in: the Parameter Store -> Secrets Manager"],
            ),
            (
                wanted(|_| {}),
                live().master_user_secret(secret).build(),
                &["password kept in: Secrets Manager -> the Parameter Store"],
            ),
            (
                wanted(|_| {}),
                live().set_vpc_security_groups(None).vpc_security_groups(security_group("sg-db", "removing")).build(),
                &["security group: add sg-db"],
            ),
        ];
        for (wanted, live, expected) in cases {
            let found = changes(&wanted, &live);
            assert!(found.iter().all(|change| change.means == Means::Update), "{found:?}");
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_pending_counts_as_done() {
        let wanted = wanted(|db| {
            db.instance_class = "db.m7g.large".into();
            db.allocated_storage = 50;
            db.multi_az = true;
            db.engine_version = Some("17.7".into());
            db.backup_retention_days = 0;
            db.port = 6000;
        });
        let values = pending(|p| {
            p.db_instance_class("db.m7g.large")
                .allocated_storage(50)
                .multi_az(true)
                .engine_version("17.7")
                .backup_retention_period(0)
                .port(6000)
                .build()
        });
        assert_eq!(changes(&wanted, &live().pending_modified_values(values).build()), []);
    }

    #[test]
    fn what_rds_does_by_itself_is_left() {
        let autoscaled = |db: &mut DbConfig| db.max_allocated_storage = Some(100);
        let cases = [
            // Grown by autoscaling, then to the limit itself.
            (wanted(autoscaled), live().allocated_storage(33).max_allocated_storage(100).build()),
            (wanted(autoscaled), live().allocated_storage(100).max_allocated_storage(100).build()),
            // 20 -> 21 was asked for: RDS rounds it up to 22.
            (wanted(|db| db.allocated_storage = 21), live().allocated_storage(22).build()),
            // A minor version that RDS has installed.
            (wanted(|db| db.engine_version = Some("17.4".into())), live().build()),
            (wanted(|db| db.engine_version = Some("17".into())), live().build()),
            (wanted(|_| {}), live().db_instance_status("deleting").deletion_protection(true).build()),
        ];
        for (wanted, live) in cases {
            assert_eq!(changes(&wanted, &live), []);
        }
    }

    #[test]
    fn what_would_replace_the_database_is_refused() {
        let cases = [
            (wanted(|db| db.user = "admin2".into()), live().build(), "master user"),
            (wanted(|db| db.database = "other".into()), live().build(), "database"),
            (wanted(|_| {}), live().set_db_name(None).build(), "database"),
            (wanted(|db| db.encrypted = false), live().build(), "encrypted"),
            (wanted(|_| {}), live().engine("mysql").build(), "engine"),
            (
                wanted(|_| {}),
                live().db_subnet_group(DbSubnetGroup::builder().db_subnet_group_name("x").build()).build(),
                "DB subnet group",
            ),
            (wanted(|db| db.engine_version = Some("16".into())), live().build(), VERSION),
            (wanted(|db| db.engine_version = Some("18.1".into())), live().build(), VERSION),
            (wanted(|_| {}), live().allocated_storage(100).build(), STORAGE),
        ];
        for (wanted, live, field) in cases {
            let found = changes(&wanted, &live);
            assert!(
                matches!(found.as_slice(), [Change { field: f, means: Means::Refuse(_), .. }] if *f == field),
                "{field}: {found:?}"
            );
        }
    }

    #[test]
    fn a_parameter_group_of_ours_is_of_before_where_the_file_gives_no_parameters() {
        use aws_sdk_rds::types::DbParameterGroupStatus;
        let with = |name: &str| {
            live().db_parameter_groups(DbParameterGroupStatus::builder().db_parameter_group_name(name).build()).build()
        };
        let ours = "ecs-postgres-db-postgres17";
        let none = wanted(|_| {});
        assert_eq!(changes(&none, &with("default.postgres17")), []);
        assert_eq!(changes(&none, &with("theirs")), []);
        assert_eq!(changes(&none, &with(ours)), [Change::former(PARAMETER_GROUP, ours)]);
        let some = Wanted { parameter_group: Some(ours.to_owned()), ..none };
        assert_eq!(changes(&some, &with(ours)), []);
        let change = Change::update(PARAMETER_GROUP, "default.postgres17", ours);
        assert_eq!(changes(&some, &with("default.postgres17")), [change]);
        assert_eq!(default_group("ecs-postgres-db", ours).as_deref(), Some("default.postgres17"));
    }

    #[test]
    fn logs_of_the_file_are_sent_and_others_are_somebodys() {
        use aws_sdk_rds::types::PendingCloudwatchLogsExports;
        use ecs_core::stack::LogExport;
        let wanted = wanted(|db| db.log_exports = vec![LogExport::Postgresql]);
        let logs = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            live().set_enabled_cloudwatch_logs_exports(Some(names))
        };
        assert_eq!(changes(&wanted, &logs(&["postgresql"]).build()), []);
        let missing = [Change::update(LOG_EXPORT, "", "postgresql"), Change::foreign(LOG_EXPORT, "upgrade")];
        assert_eq!(changes(&wanted, &logs(&["upgrade"]).build()), missing);
        let exports = PendingCloudwatchLogsExports::builder().log_types_to_enable("postgresql").build();
        let values = pending(|p| p.pending_cloudwatch_logs_exports(exports.clone()).build());
        assert_eq!(changes(&wanted, &logs(&[]).pending_modified_values(values).build()), []);
    }

    #[test]
    fn other_security_groups_are_somebodys() {
        let live = live().vpc_security_groups(security_group("sg-debug", "active")).build();
        assert_eq!(changes(&wanted(|_| {}), &live), [Change::foreign(SECURITY_GROUP, "sg-debug")]);
    }
}
