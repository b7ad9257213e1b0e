//! The DynamoDB tables of an earlier stack file that this one does not have: reported, and deleted only with `--prune`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ecs_aws::Answer as _;
use ecs_core::stack::TableNames;
use ecs_core::{All as _, Change, Health, Identity, Kind, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;
use futures::{StreamExt as _, stream};

use crate::dynamodb::{self, Live};
use crate::table_deletion::TableDeletion;
use crate::{DynamoDb, LAYER};

/// What differs, as [`Change::field`].
const TABLE: &str = "table";
/// Tables whose tags are read at a time: DynamoDB takes ten such calls a second.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListTagsOfResource.html>
const AT_A_TIME: usize = 5;

/// Returns the names of the tables that are the stack's and not in its file.
///
/// DynamoDB lists names alone, and tags are a call for each. So a run looks at those tables whose names start as the
/// stack's do; a destroy and a run that prunes look at all.
///
/// # Errors
/// Any refusal by DynamoDB.
pub async fn names(run: &Run<'_>, dynamodb: &DynamoDb, stack: &Stack, wanted: &TableNames) -> Result<Vec<String>> {
    let pages = dynamodb.read.list_tables().into_paginator().items().send();
    let listed = pages.collect::<Result<Vec<_>, _>>().await.answer("dynamodb:ListTables")?;
    let own: BTreeSet<String> = stack.tables.iter().map(|(key, table)| stack.table_name(key, table)).collect();
    let start = format!("{}-", stack.name);
    let all = run.destroys() || run.prunes();
    let candidates = listed.into_iter().filter(|name| !own.contains(name) && (all || name.starts_with(&start)));
    let candidates: Vec<String> = candidates.collect();
    if candidates.is_empty() {
        return Ok(candidates);
    }
    let account = run.account().await?;
    let tags = candidates.into_iter().map(async |name| {
        let tags = dynamodb::read_tags(dynamodb, &wanted.arn(&name, &account)).await?.unwrap_or_default();
        let identity = Identity::new(&stack.name, LAYER, &name);
        Ok((identity.owner(tags.iter().map(|tag| (tag.key(), tag.value()))) == Owner::Ours).then_some(name))
    });
    let found: Vec<Result<Option<String>>> = stream::iter(tags).buffered(AT_A_TIME).collect().await;
    Ok(found.all()?.into_iter().flatten().collect())
}

/// The tables that the stack no longer needs.
#[derive(Debug)]
pub struct FormerTables {
    stack: String,
    names: Vec<String>,
    deletion: Rc<TableDeletion>,
    /// What this run has deleted: it may be listed for a moment
    asked: RefCell<BTreeSet<String>>,
}

impl FormerTables {
    /// Makes the search for these tables.
    pub fn new(stack: &Stack, names: Vec<String>, deletion: &Rc<TableDeletion>) -> Self {
        Self { stack: stack.name.clone(), names, deletion: Rc::clone(deletion), asked: RefCell::default() }
    }

    fn is_leaving(&self, live: &Live) -> bool {
        let name = live.described.table_name().unwrap_or_default();
        live.status() == "DELETING" || self.asked.borrow().contains(name)
    }
}

impl Resource for FormerTables {
    type Api = DynamoDb;
    type Live = Vec<Live>;
    const KIND: &'static str = "what else is of stack";
    /// As long as a backup and a deletion may take.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "1 min";

    fn name(&self) -> String {
        self.stack.clone()
    }

    fn id(&self, live: &Vec<Live>) -> String {
        live.iter().map(|live| live.described.table_name().unwrap_or_default()).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<Live> {
        Vec::new()
    }

    async fn find(&self, dynamodb: &DynamoDb) -> Result<Option<Vec<Live>>> {
        let found = join_all(self.names.iter().map(|name| dynamodb::read(dynamodb, name))).await.all()?;
        Ok(Some(found.into_iter().flatten().collect()))
    }

    /// Makes nothing: what is sought is too much.
    async fn create(&self, _dynamodb: &DynamoDb) -> Result<Vec<Live>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<Live>) -> Vec<Change> {
        let alive = live.iter().filter(|live| !self.is_leaving(live));
        alive.map(|live| Change::former(TABLE, live.described.table_name().unwrap_or_default())).collect()
    }

    async fn update(&self, dynamodb: &DynamoDb, live: &Vec<Live>, _changes: &[Change]) -> Result<()> {
        let alive = live.iter().filter(|live| !self.is_leaving(live));
        let deleted = alive.map(async |live| {
            let name = live.described.table_name().unwrap_or_default();
            match self.deletion.delete(dynamodb, live).await {
                Ok(()) => {
                    self.asked.borrow_mut().insert(name.to_owned());
                    Ok(())
                }
                // It is being backed up, or changed.
                Err(error) if error.kind() == Kind::InUse => Err(error.with_kind(Kind::Busy)),
                Err(error) => Err(error.doing(format!("deleting table {name}"))),
            }
        });
        join_all(deleted).await.all().map(drop)
    }

    async fn delete(&self, _dynamodb: &DynamoDb, _live: &Vec<Live>) -> Result<()> {
        // A destroy deletes each table by itself.
        Ok(())
    }

    fn health(&self, live: &Vec<Live>) -> Health {
        if !live.is_empty() && live.iter().all(|live| self.is_leaving(live)) {
            return Health::Leaving("being deleted".to_owned());
        }
        Health::Ready
    }

    fn owner(&self, _live: &Vec<Live>) -> Owner {
        // Only what is tagged as the stack's is here.
        Owner::Ours
    }

    async fn adopt(&self, _dynamodb: &DynamoDb, _live: &Vec<Live>) -> Result<()> {
        Ok(())
    }
}
