//! The DB instance.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use aws_sdk_rds::types::{CloudwatchLogsExportConfiguration, DbInstance, Endpoint, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::console::Console;
use ecs_core::id::{DbInstanceArn, SecretArn, planned};
use ecs_core::stack::{DbConfig, PasswordStore};
use ecs_core::{Change, Error, Health, Identity, Kind, Owner, Resource, Result, Stack};

use crate::difference::{self, Wanted};
use crate::engine_version::{ENGINE, EngineVersion};
use crate::password::Secret;
use crate::sight::Sight;
use crate::status::{self, DELETING, STORAGE_FULL};
use crate::{LAYER, Options, Rds, rds};

/// Size in GiB from which RDS stripes gp3 storage of PostgreSQL over several volumes. Below, IOPS must not be given;
/// from there on, they must, and are these at least:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html>,
/// <https://github.com/hashicorp/terraform-provider-aws/issues/28382>
const STRIPED: i32 = 400;
/// Least IOPS of striped gp3 storage.
const STRIPED_IOPS: i32 = 12_000;
/// Least throughput of striped gp3 storage, in MiB/s.
const STRIPED_THROUGHPUT: i32 = 500;

/// What to do about a protected instance.
const UNPROTECT: &str = "set `db.deletion_protection = false` in the stack file, run ecs-db with it, then destroy";

/// A DB instance.
#[derive(Debug)]
pub struct Instance {
    identity: Identity,
    wanted: Wanted,
    version: Rc<EngineVersion>,
    secret: Rc<Secret>,
    sight: Rc<Sight>,
    console: Console,
    skip_final_snapshot: bool,
    /// What this run has asked RDS for: for some seconds, neither it nor the pending modified values show it
    asked: RefCell<BTreeSet<&'static str>>,
    snapshot: OnceCell<String>,
}

/// What RDS says the DB instance is.
#[derive(Debug, Clone)]
pub struct Live {
    described: DbInstance,
    /// Whether this run made it: then it is as wanted, however much of it RDS shows already
    made: bool,
    asked: BTreeSet<&'static str>,
}

impl Live {
    /// Returns the instance's ARN.
    pub fn arn(&self) -> Option<DbInstanceArn> {
        self.described.db_instance_arn().map(DbInstanceArn::from)
    }

    /// Returns the DNS name, none while RDS has not given it one.
    pub fn host(&self) -> Option<&str> {
        self.described.endpoint().and_then(Endpoint::address)
    }

    /// Returns the secret that holds the master password, where RDS keeps it.
    pub fn secret(&self) -> Option<SecretArn> {
        self.described.master_user_secret().and_then(|secret| secret.secret_arn()).map(SecretArn::from)
    }

    /// Refuses the destroy of a protected instance before it has deleted anything else.
    ///
    /// # Errors
    /// When the instance is the stack's and protected.
    pub fn check_unprotected(&self, stack: &Stack) -> Result<()> {
        let identity = identity(stack);
        let protected = self.described.deletion_protection() == Some(true);
        if !protected || rds::owner(&identity, self.described.tag_list()) != Owner::Ours {
            return Ok(());
        }
        Err(Error::other("it is protected from deletion")
            .doing(format!("destroying {} {}", Instance::KIND, identity.name))
            .hint(UNPROTECT))
    }

    /// Says whether parameters have changed that it takes only when it is rebooted.
    pub fn awaits_reboot(&self) -> bool {
        let groups = self.described.db_parameter_groups().iter();
        groups.map(|group| group.parameter_apply_status()).any(|status| status == Some("pending-reboot"))
    }

    fn status(&self) -> &str {
        self.described.db_instance_status().unwrap_or("without a status")
    }
}

impl Instance {
    /// Makes the stack's instance.
    pub fn new(
        stack: &Stack,
        wanted: Wanted,
        (version, secret, sight): (&Rc<EngineVersion>, &Rc<Secret>, &Rc<Sight>),
        console: &Console,
        options: &Options,
    ) -> Self {
        Self {
            identity: identity(stack),
            wanted,
            version: Rc::clone(version),
            secret: Rc::clone(secret),
            sight: Rc::clone(sight),
            console: console.clone(),
            skip_final_snapshot: options.skip_final_snapshot,
            asked: RefCell::default(),
            snapshot: OnceCell::new(),
        }
    }

    fn live(&self, described: DbInstance, made: bool) -> Live {
        Live { described, made, asked: self.asked.borrow().clone() }
    }

    fn managed(&self) -> bool {
        self.wanted.config.password == PasswordStore::SecretsManager
    }

    /// Returns the name of the final snapshot, the same for every try of the deletion, and says it once.
    fn snapshot(&self) -> &str {
        self.snapshot.get_or_init(|| {
            // 2026-01-31T12:00:00Z, of which a snapshot's name takes the digits.
            let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            let digits: String = now.chars().filter(char::is_ascii_digit).collect();
            let name = format!("{}-final-{digits}", self.identity.name);
            let line = format!("DB instance {}: its data will be kept as the snapshot {name}", self.name());
            self.console.say("snapshot", &line);
            name
        })
    }

    /// Returns the DB parameter group that it is to have: that of the file, else RDS's own.
    fn parameter_group(&self, live: &DbInstance) -> Option<String> {
        let is = live.db_parameter_groups().first().and_then(|group| group.db_parameter_group_name());
        let default = is.and_then(|is| difference::default_group(&self.identity.name, is));
        self.wanted.parameter_group.clone().or(default)
    }

    /// Returns the security groups that it is to have: its own, and those of others unless they are to be removed.
    fn security_groups(&self, live: &Live, changes: &[Change]) -> Vec<String> {
        let removed = |group: &str| changes.iter().any(|change| change.to.is_empty() && change.from == group);
        let ours = self.wanted.security_group.as_str();
        let present = difference::present_security_groups(&live.described);
        let others = present.into_iter().filter(|group| *group != ours && !removed(group));
        others.chain([ours]).map(str::to_owned).collect()
    }
}

impl Resource for Instance {
    type Api = Rds;
    type Live = Live;
    const KIND: &'static str = "DB instance";
    /// The SDK's waiter gives it 60 × 30 s; Multi-AZ and a final snapshot of a large database take longer.
    const PATIENCE: Duration = Duration::from_secs(40 * 60);
    const USUAL: &'static str = "5 to 10 min";
    const LINGERS: bool = true;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn().map_or_else(|| self.name(), |arn| arn.to_string())
    }

    fn planned(&self) -> Live {
        let name = &self.identity.name;
        let described = DbInstance::builder()
            .db_instance_identifier(name)
            .db_instance_arn(DbInstanceArn::planned(name))
            .db_instance_status("available")
            .endpoint(Endpoint::builder().address(planned("endpoint", name)).build());
        self.live(described.build(), true)
    }

    async fn find(&self, rds: &Rds) -> Result<Option<Live>> {
        let seen = self.sight.get(rds).await?;
        Ok(seen.as_ref().clone().map(|described| self.live(described, false)))
    }

    async fn create(&self, rds: &Rds) -> Result<Live> {
        let config = &self.wanted.config;
        let call = rds.write.create_db_instance();
        let call = call
            .db_instance_identifier(&self.identity.name)
            .engine(ENGINE)
            .engine_version(self.version.choose(rds).await?)
            .db_instance_class(&config.instance_class)
            .storage_type(&config.storage_type)
            .allocated_storage(config.allocated_storage)
            .set_max_allocated_storage(self.wanted.max_storage(config.allocated_storage))
            .storage_encrypted(config.encrypted)
            .db_subnet_group_name(&self.wanted.subnet_group)
            .vpc_security_group_ids(self.wanted.security_group.as_str())
            .publicly_accessible(false)
            .multi_az(config.multi_az)
            .db_name(&config.database)
            .port(i32::from(config.port))
            .backup_retention_period(config.backup_retention_days)
            .auto_minor_version_upgrade(config.auto_minor_version_upgrade)
            .deletion_protection(config.deletion_protection)
            .set_enable_cloudwatch_logs_exports(log_exports(config))
            .set_db_parameter_group_name(self.wanted.parameter_group.clone())
            .set_tags(Some(rds::tags(&self.identity)))
            .master_username(&config.user);
        let call = if self.managed() {
            call.manage_master_user_password(true)
        } else {
            call.master_user_password(self.secret.value().await?.as_str())
        };
        let reply = call.send().await.answer("rds:CreateDBInstance").map_err(explain)?;
        Ok(self.live(present(reply.db_instance, "rds:CreateDBInstance", "the DB instance")?, true))
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        if live.made {
            return Vec::new();
        }
        let mut changes = difference::changes(&self.wanted, &live.described);
        changes.retain(|change| !live.asked.contains(change.field));
        changes
    }

    async fn update(&self, rds: &Rds, live: &Live, changes: &[Change]) -> Result<()> {
        let (config, described) = (&self.wanted.config, &live.described);
        let changed: BTreeSet<&'static str> = changes.iter().map(|change| change.field).collect();
        let storage = if changed.contains(difference::STORAGE) {
            config.allocated_storage
        } else {
            difference::allocated(described).unwrap_or(config.allocated_storage)
        };
        let mut call =
            rds.write.modify_db_instance().db_instance_identifier(&self.identity.name).apply_immediately(true);
        for field in &changed {
            call = match *field {
                difference::CLASS => call.db_instance_class(&config.instance_class),
                difference::STORAGE => call.allocated_storage(storage),
                difference::STORAGE_TYPE => call.storage_type(&config.storage_type),
                // The limit is off where it is the storage itself:
                // <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html>
                difference::MAX_STORAGE => {
                    call.max_allocated_storage(self.wanted.max_storage(storage).unwrap_or(storage))
                }
                difference::BACKUPS => call.backup_retention_period(config.backup_retention_days),
                difference::MINOR_UPGRADES => call.auto_minor_version_upgrade(config.auto_minor_version_upgrade),
                difference::VERSION => call.set_engine_version(config.engine_version.clone()),
                difference::MULTI_AZ => call.multi_az(config.multi_az),
                difference::PROTECTION => call.deletion_protection(config.deletion_protection),
                difference::PUBLIC => call.publicly_accessible(false),
                difference::PORT => call.db_port_number(i32::from(config.port)),
                difference::SECURITY_GROUP => {
                    call.set_vpc_security_group_ids(Some(self.security_groups(live, changes)))
                }
                difference::PARAMETER_GROUP => call.set_db_parameter_group_name(self.parameter_group(described)),
                difference::LOG_EXPORT => call.cloudwatch_logs_export_configuration(log_changes(changes)),
                difference::PASSWORD if self.managed() => call.manage_master_user_password(true),
                difference::PASSWORD => {
                    call.manage_master_user_password(false).master_user_password(self.secret.value().await?.as_str())
                }
                other => return Err(Error::other(format!("{other} cannot be changed"))),
            };
        }
        let restored = changed.contains(difference::STORAGE) || changed.contains(difference::STORAGE_TYPE);
        if restored && config.storage_type == "gp3" && storage >= STRIPED {
            call = call.iops(described.iops().unwrap_or_default().max(STRIPED_IOPS));
            call = call.storage_throughput(described.storage_throughput().unwrap_or_default().max(STRIPED_THROUGHPUT));
        }
        call.send().await.answer("rds:ModifyDBInstance").map_err(|error| match error.code() {
            Some("InvalidDBInstanceState") => error
                .with_kind(Kind::Busy)
                .hint(format!("the instance is {}: run again when it is available", live.status())),
            _ => explain(error),
        })?;
        self.asked.borrow_mut().extend(changed);
        Ok(())
    }

    async fn delete(&self, rds: &Rds, live: &Live) -> Result<()> {
        if live.status() == DELETING {
            return Ok(());
        }
        let call = rds.write.delete_db_instance().db_instance_identifier(&self.identity.name);
        let call = if self.skip_final_snapshot {
            call.skip_final_snapshot(true)
        } else if status::allows_snapshot(live.status()) {
            call.skip_final_snapshot(false).final_db_snapshot_identifier(self.snapshot())
        } else {
            return Err(Error::other(format!("RDS takes no final snapshot of an instance that is {}", live.status()))
                .hint("with --skip-final-snapshot it is deleted without one"));
        };
        call.send().await.answer("rds:DeleteDBInstance").map_err(|error| {
            if error.kind() == Kind::Other && live.described.deletion_protection() == Some(true) {
                return error.hint(UNPROTECT);
            }
            error
        })?;
        Ok(())
    }

    fn health(&self, live: &Live) -> Health {
        // RDS makes the secret by the side; nobody can use the database before.
        let secret = live.described.master_user_secret();
        let secret_ready = secret.is_some_and(|secret| secret.secret_status() != Some("creating"));
        let health = status::health(live.status());
        if health != Health::Ready {
            // More storage is on its way.
            let grows = live.status() == STORAGE_FULL && live.asked.contains(difference::STORAGE);
            if grows { Health::Pending(live.status().to_owned()) } else { health }
        } else if live.host().is_none() {
            Health::Pending("without an endpoint".to_owned())
        } else if self.managed() && !secret_ready {
            Health::Pending("without its secret".to_owned())
        } else {
            Health::Ready
        }
    }

    fn owner(&self, live: &Live) -> Owner {
        live.described.tag_list.as_ref().map_or(Owner::Unread, |tags: &Vec<Tag>| rds::owner(&self.identity, tags))
    }

    async fn read_owner(&self, rds: &Rds, live: &Live) -> Result<Owner> {
        rds::read_owner(rds, &self.identity, &self.id(live)).await
    }

    async fn adopt(&self, rds: &Rds, live: &Live) -> Result<()> {
        rds::adopt(rds, &self.identity, &self.id(live)).await
    }

    fn forget(&self) {
        self.sight.forget();
    }
}

/// Returns the logs that a new instance sends, none where it sends none.
fn log_exports(config: &DbConfig) -> Option<Vec<String>> {
    let logs: Vec<String> = config.log_exports.iter().map(|export| export.name().to_owned()).collect();
    (!logs.is_empty()).then_some(logs)
}

/// Returns the logs that an instance is to send or not to send any more.
fn log_changes(changes: &[Change]) -> CloudwatchLogsExportConfiguration {
    let of = |value: fn(&Change) -> &String| {
        let logs = changes.iter().filter(|change| change.field == difference::LOG_EXPORT).map(value);
        let logs: Vec<String> = logs.filter(|log| !log.is_empty()).cloned().collect();
        (!logs.is_empty()).then_some(logs)
    };
    let configuration = CloudwatchLogsExportConfiguration::builder().set_enable_log_types(of(|change| &change.to));
    configuration.set_disable_log_types(of(|change| &change.from)).build()
}

fn identity(stack: &Stack) -> Identity {
    Identity::new(&stack.name, LAYER, &stack.db.identifier)
}

/// Says what a refusal means, and what can be done about it.
fn explain(error: Error) -> Error {
    match error.code() {
        // Subnets or a network that RDS does not know, which for new ones means: not yet.
        Some("InvalidSubnet") => error.with_kind(Kind::NotFound),
        // RDS has no code of its own for a security group that it does not know, which for a new one means: not yet.
        // <https://github.com/fog/fog-aws/blob/master/lib/fog/aws/requests/rds/modify_db_instance.rb>
        Some("InvalidParameterValue") if error.message().contains("Invalid security group") => {
            error.with_kind(Kind::NotFound)
        }
        // An account's first instance makes RDS's service-linked role:
        // <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html>
        Some("InvalidParameterValue") if error.message().contains("service linked role") => error
            .with_kind(Kind::NotYet)
            .hint("the account's first database needs iam:CreateServiceLinkedRole: see the verb `policy`"),
        // Older classes do not run the newest versions, and one that is not given is the newest.
        Some("InvalidParameterCombination") if error.message().contains("EngineVersion=") => {
            error.hint("choose another `db.instance_class`, or with `db.engine_version` a version that it runs")
        }
        Some("InsufficientDBInstanceCapacity") => error.hint("choose another `db.instance_class`, or try again later"),
        Some("InstanceQuotaExceeded") => error.hint("raise the quota \"DB instances\" of RDS in Service Quotas"),
        Some("StorageQuotaExceeded") => {
            error.hint("raise the quota \"Total storage for all DB instances\" of RDS in Service Quotas")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::MasterUserSecret;
    use ecs_core::console::{LogFormat, Verbosity};

    use super::*;

    fn instance(password: PasswordStore) -> Instance {
        let mut stack = Stack::default();
        stack.db.password = password;
        let config = aws_sdk_ssm::Config::builder().behavior_version(aws_sdk_ssm::config::BehaviorVersion::latest());
        let client = aws_sdk_ssm::Client::from_conf(config.build());
        let secret = Secret::new(&ecs_aws::Api { read: client.clone(), write: client }, &stack);
        let shared = (Rc::new(EngineVersion::new(&stack)), Rc::new(secret), Rc::new(Sight::new(&stack)));
        Instance::new(
            &stack,
            Wanted::new(&stack, "ecs-db-subnet-group", "sg-db".into(), None),
            (&shared.0, &shared.1, &shared.2),
            &Console::new("ecs-db", Verbosity::Quiet, LogFormat::Text),
            &Options { skip_final_snapshot: false, rotate_password: false },
        )
    }

    #[test]
    fn a_managed_password_is_waited_for() {
        let secret = |status: &str| MasterUserSecret::builder().secret_arn("arn:x").secret_status(status).build();
        let here = instance(PasswordStore::Parameter);
        let managed = instance(PasswordStore::SecretsManager);
        let available = |secret: Option<MasterUserSecret>| {
            let endpoint = Endpoint::builder().address("x").port(5432).build();
            let described = DbInstance::builder().db_instance_status("available").endpoint(endpoint);
            here.live(described.set_master_user_secret(secret).build(), false)
        };
        let cases = [
            (&here, available(None), Health::Ready),
            (&managed, available(None), Health::Pending("without its secret".into())),
            (&managed, available(Some(secret("creating"))), Health::Pending("without its secret".into())),
            (&managed, available(Some(secret("active"))), Health::Ready),
        ];
        for (instance, live, health) in cases {
            assert_eq!(instance.health(&live), health, "{live:?}");
        }
    }

    #[test]
    fn a_full_storage_that_grows_is_waited_for() {
        let instance = instance(PasswordStore::Parameter);
        let full = DbInstance::builder().db_instance_status("storage-full").build();
        assert!(matches!(instance.health(&instance.live(full.clone(), false)), Health::Failed(_)));
        instance.asked.borrow_mut().insert(difference::STORAGE);
        assert_eq!(instance.health(&instance.live(full, false)), Health::Pending("storage-full".into()));
    }

    #[test]
    fn what_this_run_asked_for_is_not_asked_for_again() {
        let instance = instance(PasswordStore::SecretsManager);
        let described =
            DbInstance::builder().db_instance_status("available").db_name("fileanalyzer").storage_encrypted(true);
        let described = described.vpc_security_groups(
            aws_sdk_rds::types::VpcSecurityGroupMembership::builder()
                .vpc_security_group_id("sg-db")
                .status("active")
                .build(),
        );
        let described = described.build();
        let fields = |live: &Live| instance.diff(live).iter().map(|change| change.field).collect::<Vec<_>>();
        assert_eq!(fields(&instance.live(described.clone(), false)), [difference::PASSWORD]);
        instance.asked.borrow_mut().insert(difference::PASSWORD);
        assert_eq!(fields(&instance.live(described, false)), [""; 0]);
    }

    #[test]
    fn a_final_snapshot_has_one_name_that_rds_takes() {
        let instance = instance(PasswordStore::Parameter);
        let name = instance.snapshot().to_owned();
        assert_eq!(instance.snapshot(), name);
        let digits = name.strip_prefix("ecs-postgres-db-final-").expect("the prefix");
        assert!(digits.len() == 14 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    }

    #[test]
    fn removing_a_foreign_security_group_keeps_the_others() {
        let instance = instance(PasswordStore::Parameter);
        let member = |id: &str| {
            aws_sdk_rds::types::VpcSecurityGroupMembership::builder().vpc_security_group_id(id).status("active").build()
        };
        let described = DbInstance::builder().vpc_security_groups(member("sg-a")).vpc_security_groups(member("sg-b"));
        let live = instance.live(described.build(), false);
        let add = Change::update(difference::SECURITY_GROUP, "", "sg-db");
        let prune = Change::foreign(difference::SECURITY_GROUP, "sg-a");
        assert_eq!(instance.security_groups(&live, std::slice::from_ref(&add)), ["sg-a", "sg-b", "sg-db"]);
        assert_eq!(instance.security_groups(&live, &[add, prune]), ["sg-b", "sg-db"]);
    }
}
