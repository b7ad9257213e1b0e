//! A DynamoDB table.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    BillingMode, CreateGlobalSecondaryIndexAction, DeleteGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate,
    IndexStatus, PointInTimeRecoverySpecification, TableDescription, TableStatus, Tag, TimeToLiveSpecification,
    UpdateGlobalSecondaryIndexAction,
};
use ecs_aws::{Answer as _, present};
use ecs_core::console::Console;
use ecs_core::id::TableArn;
use ecs_core::stack::TableConfig;
use ecs_core::{Change, Error, Health, Identity, Kind, Owner, Resource, Result, Stack};
use tokio::time::Instant;

use crate::dynamodb::{self, Live, MANAGED_KEY};
use crate::table_deletion::{TableDeletion, UNPROTECT};
use crate::table_difference as difference;
use crate::table_shape as shape;
use crate::{DynamoDb, LAYER};

/// How long DescribeTable, which is eventually consistent, may show a table as it was before a change:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html>
const SHOWS: Duration = Duration::from_secs(5);

/// A DynamoDB table, with its indexes.
#[derive(Debug)]
pub struct Table {
    identity: Identity,
    /// None for one that the file does not have: a destroy looks for it
    config: Option<TableConfig>,
    console: Console,
    deletion: Rc<TableDeletion>,
    /// Changes that this run has asked for: DescribeTable may not show them yet
    asked: RefCell<BTreeSet<String>>,
    /// When DynamoDB has said that it changes the key, as long as no look at the table has shown that
    told: Cell<Option<Instant>>,
    /// Whether this run has had it use the account's own key, where the file wants that
    knows_key: bool,
}

impl Table {
    /// Makes a table of the stack file.
    pub fn new(
        stack: &Stack,
        (key, config): (&str, &TableConfig),
        console: &Console,
        deletion: &Rc<TableDeletion>,
    ) -> Self {
        let config = Some(config.clone());
        Self { config, ..Self::former(stack, &stack.table_name(key, &stack.tables[key]), console, deletion) }
    }

    /// Makes one that the file does not have, to be deleted.
    pub fn former(stack: &Stack, name: &str, console: &Console, deletion: &Rc<TableDeletion>) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, name),
            config: None,
            console: console.clone(),
            deletion: Rc::clone(deletion),
            asked: RefCell::default(),
            told: Cell::default(),
            knows_key: false,
        }
    }

    /// Makes it as it is after this run has made or changed it: the key that it has is the one that the file wants.
    #[must_use]
    pub fn knowing_key(self) -> Self {
        Self { knows_key: true, ..self }
    }

    /// Refuses the destroy of a protected table before anything else is deleted.
    ///
    /// # Errors
    /// When the table is the stack's and protected.
    pub fn check_unprotected(&self, live: &Live) -> Result<()> {
        if !live.is_protected() || live.owner(&self.identity) != Owner::Ours {
            return Ok(());
        }
        Err(Error::other("it is protected from deletion")
            .doing(format!("destroying {} {}", Self::KIND, self.identity.name))
            .hint(UNPROTECT))
    }

    /// Makes one change that UpdateTable makes: it takes one at a time
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html>), and its class with no
    /// other (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithTables.tableclasses.html>).
    async fn update_table(&self, dynamodb: &DynamoDb, live: &Live, change: &Change) -> Result<()> {
        let Some(config) = &self.config else { return Ok(()) };
        let call = dynamodb.write.update_table().table_name(&self.identity.name);
        let throughput = config.throughput().map(shape::throughput).transpose()?;
        let call = match change.field {
            difference::PROTECTION => call.deletion_protection_enabled(config.deletion_protection),
            difference::CLASS => call.table_class(shape::class(config.table_class)),
            difference::ENCRYPTION => call.sse_specification(shape::encryption(&config.encryption)),
            difference::BILLING => {
                let indexes = match &throughput {
                    Some(throughput) => {
                        shape::throughputs(&difference::indexes_to_scale(config, &live.described), throughput)?
                    }
                    None => Vec::new(),
                };
                let mode = if throughput.is_some() { BillingMode::Provisioned } else { BillingMode::PayPerRequest };
                let switches = throughput.is_some() != difference::is_provisioned(&live.described);
                let indexes = (!indexes.is_empty()).then_some(indexes);
                call.set_billing_mode(switches.then_some(mode))
                    .set_provisioned_throughput(throughput)
                    .set_global_secondary_index_updates(indexes)
            }
            difference::INDEX_THROUGHPUT => {
                let update = UpdateGlobalSecondaryIndexAction::builder().index_name(difference::index_of(change));
                let update = update.set_provisioned_throughput(throughput).build().map_err(shape::unbuilt)?;
                call.global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().update(update).build())
            }
            difference::INDEX if change.to.is_empty() => {
                let delete = DeleteGlobalSecondaryIndexAction::builder().index_name(&change.from);
                let delete = delete.build().map_err(shape::unbuilt)?;
                call.global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().delete(delete).build())
            }
            difference::INDEX => {
                let Some(index) = config.indexes.get(&change.to) else { return Ok(()) };
                let create = CreateGlobalSecondaryIndexAction::builder().index_name(&change.to);
                let create = create.set_key_schema(Some(shape::key_schema(index.key())?));
                let create = create.projection(shape::projection(&index.projection));
                let create = create.set_provisioned_throughput(throughput).build().map_err(shape::unbuilt)?;
                call.set_attribute_definitions(Some(shape::definitions_with(&live.described, index)?))
                    .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(create).build())
            }
            other => return Err(Error::other(format!("{other} cannot be changed"))),
        };
        let reply = call.send().await.answer("dynamodb:UpdateTable").map_err(explain)?;
        if dynamodb::is_being_encrypted(reply.table_description.as_ref()) {
            self.told.set(Some(Instant::now()));
        }
        Ok(())
    }

    async fn set_recovery(&self, dynamodb: &DynamoDb, on: bool) -> Result<()> {
        let wanted = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(on);
        let wanted = wanted.build().map_err(shape::unbuilt)?;
        let call = dynamodb.write.update_continuous_backups().table_name(&self.identity.name);
        let call = call.point_in_time_recovery_specification(wanted);
        call.send().await.answer("dynamodb:UpdateContinuousBackups").map_err(explain)?;
        Ok(())
    }

    async fn set_time_to_live(&self, dynamodb: &DynamoDb, attribute: &str, on: bool) -> Result<()> {
        let wanted = TimeToLiveSpecification::builder().enabled(on).attribute_name(attribute);
        let wanted = wanted.build().map_err(shape::unbuilt)?;
        let call = dynamodb.write.update_time_to_live().table_name(&self.identity.name);
        call.time_to_live_specification(wanted).send().await.answer("dynamodb:UpdateTimeToLive").map_err(explain)?;
        Ok(())
    }

    async fn note_key(&self, dynamodb: &DynamoDb, live: &Live, arn: &str) -> Result<()> {
        let tag = Tag::builder().key(MANAGED_KEY).value(arn).build().map_err(shape::unbuilt)?;
        let call = dynamodb.write.tag_resource().resource_arn(live.arn()).tags(tag);
        call.send().await.answer("dynamodb:TagResource").map_err(explain)?;
        Ok(())
    }
}

impl Resource for Table {
    type Api = DynamoDb;
    type Live = Live;
    const KIND: &'static str = "DynamoDB table";
    /// A table is there within a minute; an index on a large one takes as long as it takes to fill it.
    const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
    const USUAL: &'static str = "less than a minute, an index on a large table far longer";
    const LINGERS: bool = true;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn().to_owned()
    }

    fn planned(&self) -> Live {
        let name = &self.identity.name;
        let described = TableDescription::builder().table_name(name).table_arn(TableArn::planned(name));
        let described = described.table_status(TableStatus::Active).build();
        Live { described, recovery: false, ttl: None, tags: Vec::new(), made: true }
    }

    async fn find(&self, dynamodb: &DynamoDb) -> Result<Option<Live>> {
        dynamodb::read(dynamodb, &self.identity.name).await
    }

    /// Creates it with all its indexes; continuous backups and time to live follow when it is active.
    async fn create(&self, dynamodb: &DynamoDb) -> Result<Live> {
        let Some(config) = &self.config else { return Ok(self.planned()) };
        let throughput = config.throughput().map(shape::throughput).transpose()?;
        let mode = if throughput.is_some() { BillingMode::Provisioned } else { BillingMode::PayPerRequest };
        let call = dynamodb.write.create_table().table_name(&self.identity.name);
        let call = call
            .set_attribute_definitions(Some(shape::definitions(config)?))
            .set_key_schema(Some(shape::key_schema(config.key())?))
            .set_global_secondary_indexes(shape::global_indexes(config)?)
            .set_local_secondary_indexes(shape::local_indexes(config)?)
            .billing_mode(mode)
            .set_provisioned_throughput(throughput)
            .set_sse_specification(
                (config.encryption != shape::AWS_OWNED).then(|| shape::encryption(&config.encryption)),
            )
            .table_class(shape::class(config.table_class))
            .deletion_protection_enabled(config.deletion_protection)
            .set_tags(Some(dynamodb::tags(&self.identity)?));
        let reply = call.send().await.answer("dynamodb:CreateTable").map_err(|error| match error.code() {
            Some("ResourceInUseException") => error.with_kind(Kind::AlreadyExists),
            _ => explain(error),
        })?;
        let described = present(reply.table_description, "dynamodb:CreateTable", "the table")?;
        Ok(Live { described, recovery: false, ttl: None, tags: Vec::new(), made: true })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let Some(config) = self.config.as_ref().filter(|_| !live.made) else { return Vec::new() };
        let mut changes = difference::changes(config, live);
        if self.knows_key {
            changes.retain(|change| change.field != difference::ENCRYPTION);
        }
        if let Some(key) = difference::unnoted_key(config, live).filter(|_| self.knows_key) {
            changes.push(Change::update(difference::MANAGED_KEY_TAG, live.managed_key().unwrap_or_default(), key));
        }
        let asked = self.asked.borrow();
        changes.retain(|change| !asked.contains(&change.to_string()) && !asked.contains(change.field));
        changes
    }

    /// Makes all changes but those for which the table must first be active again: the engine comes back for those.
    async fn update(&self, dynamodb: &DynamoDb, live: &Live, changes: &[Change]) -> Result<()> {
        if live.described.table_status() != Some(&TableStatus::Active) {
            return Err(Error::new(Kind::Busy, format!("it is {}", live.status())));
        }
        if live.is_being_encrypted() && changes.iter().any(|change| change.field == difference::ENCRYPTION) {
            return Err(Error::new(Kind::Busy, "it is being encrypted with another key"));
        }
        let done = |change: &Change| {
            self.asked.borrow_mut().insert(change.to_string());
            // Of what comes of that, DynamoDB alone knows the ARN.
            if change.field == difference::ENCRYPTION {
                self.asked.borrow_mut().insert(difference::ENCRYPTION.to_owned());
            }
        };
        let mut said = Vec::new();
        for change in changes {
            match (change.field, &self.config) {
                (difference::RECOVERY, Some(config)) => {
                    self.set_recovery(dynamodb, config.point_in_time_recovery).await?;
                }
                (difference::TIME_TO_LIVE, Some(config)) => {
                    let attribute = config.ttl.as_deref().or(live.ttl.as_deref()).unwrap_or_default();
                    self.set_time_to_live(dynamodb, attribute, config.ttl.is_some()).await?;
                }
                (difference::MANAGED_KEY_TAG, _) => self.note_key(dynamodb, live, &change.to).await?,
                _ => continue,
            }
            done(change);
            said.push(change);
        }
        let beside = [difference::RECOVERY, difference::TIME_TO_LIVE, difference::MANAGED_KEY_TAG];
        let mut others = changes.iter().filter(|change| !beside.contains(&change.field));
        if let Some(change) = others.next() {
            self.update_table(dynamodb, live, change).await?;
            done(change);
            said.push(change);
            if others.next().is_some() {
                for change in said {
                    self.console.say("changed", &format!("changed {} {}: {change}", Self::KIND, self.identity.name));
                }
                return Err(Error::new(Kind::Busy, format!("it is being changed ({change})")));
            }
        }
        Ok(())
    }

    async fn delete(&self, dynamodb: &DynamoDb, live: &Live) -> Result<()> {
        if live.described.table_status() == Some(&TableStatus::Deleting) {
            return Ok(());
        }
        self.deletion.delete(dynamodb, live).await
    }

    fn health(&self, live: &Live) -> Health {
        let status = live.status().to_owned();
        match live.described.table_status() {
            Some(TableStatus::Active) => {}
            Some(TableStatus::Deleting) => return Health::Leaving("being deleted".to_owned()),
            Some(TableStatus::InaccessibleEncryptionCredentials) => {
                return Health::Failed(format!("{status}: its KMS key cannot be used: enable the key"));
            }
            Some(TableStatus::Archived | TableStatus::Archiving) => {
                return Health::Failed(format!(
                    "{status}: its KMS key could not be used for seven days: restore it from the backup that DynamoDB made"
                ));
            }
            Some(TableStatus::ReplicationNotAuthorized) => return Health::Failed(status),
            Some(TableStatus::Creating | TableStatus::Updating | _) | None => return Health::Pending(status),
        }
        // Meanwhile DynamoDB refuses to delete it, and may still show the key of before.
        let encrypted = live.is_being_encrypted();
        if encrypted {
            self.told.set(None);
        }
        if encrypted || self.told.get().is_some_and(|told| told.elapsed() < SHOWS) {
            return Health::Pending("being encrypted with another key".to_owned());
        }
        let indexes = live.described.global_secondary_indexes();
        for name in self.config.iter().flat_map(|config| config.indexes.keys()) {
            let index = indexes.iter().find(|index| index.index_name() == Some(name));
            let asked = self.asked.borrow().contains(&difference::add_index(name).to_string());
            match index.map(|index| index.index_status()) {
                Some(Some(IndexStatus::Active)) => {}
                Some(status) => {
                    let status = status.map_or("without a status", |status| status.as_str());
                    return Health::Pending(format!("filling its index {name} ({status})"));
                }
                None if asked => return Health::Pending(format!("without its index {name}")),
                None => {}
            }
        }
        Health::Ready
    }

    fn owner(&self, live: &Live) -> Owner {
        // What this run has just made carries our tags, and its reply does not show them.
        if live.made { Owner::Ours } else { live.owner(&self.identity) }
    }

    async fn adopt(&self, dynamodb: &DynamoDb, live: &Live) -> Result<()> {
        let call =
            dynamodb.write.tag_resource().resource_arn(live.arn()).set_tags(Some(dynamodb::tags(&self.identity)?));
        call.send().await.answer("dynamodb:TagResource")?;
        Ok(())
    }
}

/// Says what a refusal means, and what can be done about it.
fn explain(error: Error) -> Error {
    match error.code() {
        // The table is being changed, by us or by somebody else.
        Some("ResourceInUseException" | "TableInUseException" | "ContinuousBackupsUnavailableException") => {
            error.with_kind(Kind::Busy)
        }
        // "Only 1 online index can be created or deleted simultaneously per table":
        // <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html#API_UpdateTable_Errors>
        Some("LimitExceededException") if error.message().contains("simultaneously") => error.with_kind(Kind::Busy),
        // "Time to live has been modified multiple times within a fixed interval"
        Some("ValidationException") if error.message().to_lowercase().contains("time to live") => {
            error.hint("DynamoDB takes up to an hour for a change of it: run again then")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{GlobalSecondaryIndexDescription, SseDescription, SseStatus};
    use ecs_core::console::{LogFormat, Verbosity};
    use ecs_core::tag;

    use super::*;

    fn table(config: &str) -> Table {
        let mut stack = Stack { name: "shop".to_owned(), ..Stack::default() };
        let config: TableConfig = serde_json::from_str(config).expect("a table");
        stack.tables.insert("orders".to_owned(), config.clone());
        let console = Console::new("ecs-db", Verbosity::Quiet, LogFormat::Text);
        let deletion = Rc::new(TableDeletion::new(&console, true));
        Table::new(&stack, ("orders", &config), &console, &deletion)
    }

    const INDEXED: &str = r#"{"partition_key": {"name": "id", "type": "S"},
        "indexes": {"by-day": {"partition_key": {"name": "day", "type": "N"}}}}"#;

    #[test]
    fn a_table_is_ready_when_it_and_its_indexes_are_active() {
        let table = table(INDEXED);
        let live = |status: TableStatus, index: Option<IndexStatus>| {
            let index = index.map(|status| {
                vec![GlobalSecondaryIndexDescription::builder().index_name("by-day").index_status(status).build()]
            });
            let described = TableDescription::builder().table_status(status).set_global_secondary_indexes(index);
            Live { described: described.build(), ..table.planned() }
        };
        let pending = |why: &str| Health::Pending(why.to_owned());
        let cases = [
            (live(TableStatus::Creating, Some(IndexStatus::Creating)), pending("CREATING")),
            (live(TableStatus::Active, Some(IndexStatus::Active)), Health::Ready),
            (live(TableStatus::Active, Some(IndexStatus::Creating)), pending("filling its index by-day (CREATING)")),
            (live(TableStatus::Updating, Some(IndexStatus::Active)), pending("UPDATING")),
            (live(TableStatus::Deleting, None), Health::Leaving("being deleted".to_owned())),
            (live(TableStatus::Active, None), Health::Ready),
        ];
        for (live, health) in cases {
            assert_eq!(table.health(&live), health, "{live:?}");
        }
        table.asked.borrow_mut().insert(difference::add_index("by-day").to_string());
        assert_eq!(table.health(&live(TableStatus::Active, None)), pending("without its index by-day"));
        assert!(matches!(table.health(&live(TableStatus::Archived, None)), Health::Failed(_)));
    }

    #[test]
    fn what_this_run_asked_for_is_not_asked_for_again() {
        let table = table(INDEXED);
        let key = aws_sdk_dynamodb::types::KeySchemaElement::builder().attribute_name("id");
        let key = key.key_type(aws_sdk_dynamodb::types::KeyType::Hash).build().expect("a key");
        let mode = aws_sdk_dynamodb::types::BillingModeSummary::builder().billing_mode(BillingMode::PayPerRequest);
        let id = aws_sdk_dynamodb::types::AttributeDefinition::builder().attribute_name("id");
        let id = id.attribute_type(aws_sdk_dynamodb::types::ScalarAttributeType::S).build().expect("a definition");
        let described = TableDescription::builder().key_schema(key).attribute_definitions(id);
        let described = described.billing_mode_summary(mode.build()).build();
        let live = Live { described, recovery: true, made: false, ..table.planned() };
        assert_eq!(table.diff(&live), [difference::add_index("by-day")]);
        table.asked.borrow_mut().insert(difference::add_index("by-day").to_string());
        assert_eq!(table.diff(&live), []);
    }

    #[test]
    fn the_accounts_own_key_is_noted_when_it_is_certain() {
        let config = r#"{"partition_key": {"name": "id", "type": "S"}, "encryption": "aws_managed"}"#;
        let (first, later) = (table(config), table(config).knowing_key());
        let live = |status: SseStatus| {
            let sse = SseDescription::builder().status(status).kms_master_key_arn("arn:key").build();
            let described = TableDescription::builder().table_status(TableStatus::Active).sse_description(sse);
            Live { described: described.build(), made: false, ..first.planned() }
        };
        let of = |table: &Table, status: SseStatus| {
            let changes = table.diff(&live(status)).into_iter().filter(|change| change.to.contains("a"));
            let about = changes.filter(|change| change.field.contains("encryption") || change.field.contains("tag"));
            about.map(|change| change.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&first, SseStatus::Enabled), ["encryption: arn:key -> aws_managed"]);
        assert_eq!(of(&later, SseStatus::Enabled), ["tag of the AWS managed key: add arn:key"]);
        // A look may be older than what DynamoDB has said.
        first.told.set(Some(Instant::now()));
        assert!(matches!(first.health(&live(SseStatus::Enabled)), Health::Pending(_)));
        assert!(matches!(first.health(&live(SseStatus::Updating)), Health::Pending(_)));
        assert_eq!(first.health(&live(SseStatus::Enabled)), Health::Ready);
        // Whatever key it shows: it has been told.
        first.asked.borrow_mut().insert(difference::ENCRYPTION.to_owned());
        assert_eq!(of(&first, SseStatus::Enabled), [""; 0]);
    }

    #[test]
    fn a_destroy_refuses_a_protected_table_of_the_stack_alone() {
        let table = table(INDEXED);
        let live = |protected: bool, stack: &str| {
            let described = TableDescription::builder().deletion_protection_enabled(protected).build();
            let tag = Tag::builder().key(tag::STACK).value(stack).build().expect("a tag");
            Live { described, tags: vec![tag], made: false, ..table.planned() }
        };
        assert!(table.check_unprotected(&live(true, "shop")).is_err());
        assert!(table.check_unprotected(&live(false, "shop")).is_ok());
        assert!(table.check_unprotected(&live(true, "other")).is_ok(), "that one is not deleted anyway");
    }
}
