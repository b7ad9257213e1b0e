//! The DynamoDB tables of the stack, described together, and the parameters that tell of them.

use std::rc::Rc;

use ecs_aws::Session;
use ecs_aws::parameter::{Parameters, Ssm, Wanted, resolve};
use ecs_core::id::TableArn;
use ecs_core::member;
use ecs_core::stack::{Parameter, ParameterLayer, TableConfig, refers_to_table};
use ecs_core::{All as _, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use zeroize::Zeroizing;

use crate::former_tables::{self, FormerTables};
use crate::table::Table;
use crate::table_deletion::TableDeletion;
use crate::table_difference::unnoted_key;
use crate::table_shape::AWS_MANAGED;
use crate::{DynamoDb, LAYER, Options};

/// Makes the tables, and writes the member `tables` when all of them can be used.
///
/// # Errors
/// Whatever stops a table or a parameter.
pub async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, options: &Options) -> Result<()> {
    // The file may have had tables: who plans, prunes or destroys is told. An ordinary run without any makes no calls.
    if stack.tables.is_empty() && run.applies() && !run.prunes() {
        return run.publish_none::<member::Tables>();
    }
    let dynamodb = session.api(aws_sdk_dynamodb::Client::new);
    let ssm = session.api(aws_sdk_ssm::Client::new);
    // What goes because the file no longer has it is always kept.
    let keep = !options.skip_final_snapshot || !run.destroys();
    let deletion = Rc::new(TableDeletion::new(run.console(), keep));
    let made = stack.tables.iter().map(|(key, config)| table(run, &dynamodb, stack, (key, config), &deletion));
    let (made, others, told) =
        join!(join_all(made), former(run, &dynamodb, stack, &deletion), parameters(run, &ssm, stack));
    let (made, (), ()) = (made.all(), others, told).all()?;
    if stack.tables.is_empty() {
        return run.publish_none::<member::Tables>();
    }
    run.publish(&member::Tables { tables: stack.tables.keys().cloned().zip(made).collect() })
}

/// Makes one table, and waits until it can be used.
async fn table(
    run: &Run<'_>,
    dynamodb: &DynamoDb,
    stack: &Stack,
    (key, config): (&str, &TableConfig),
    deletion: &Rc<TableDeletion>,
) -> Result<member::Table> {
    let table = || Table::new(stack, (key, config), run.console(), deletion);
    let held = run.ensure(dynamodb, table()).await?;
    if run.destroys() {
        table().check_unprotected(&held)?;
    }
    let mut live = run.ready(dynamodb, &held).await?;
    // Continuous backups and time to live are for a table that is active, and then it shows the key that it has.
    let follows = config.point_in_time_recovery || config.ttl.is_some() || config.encryption == AWS_MANAGED;
    if run.applies() && ((held.is_new() && follows) || unnoted_key(config, &live).is_some()) {
        let again = run.ensure(dynamodb, table().knowing_key()).await?;
        live = run.ready(dynamodb, &again).await?;
    }
    Ok(member::Table { name: stack.table_name(key, config), arn: TableArn::from(live.arn()) })
}

/// Tells of the tables that the file no longer has, or as told removes them; a destroy deletes them.
async fn former(run: &Run<'_>, dynamodb: &DynamoDb, stack: &Stack, deletion: &Rc<TableDeletion>) -> Result<()> {
    let names = former_tables::names(run, dynamodb, stack, &stack.table_names()).await;
    let names = names.map_err(|error| error.doing("looking for tables that the stack file does not have"))?;
    if names.is_empty() {
        return Ok(());
    }
    if !run.destroys() {
        return run.ensure(dynamodb, FormerTables::new(stack, names, deletion)).await.map(drop);
    }
    let found = names.iter().map(async |name| {
        let table = || Table::former(stack, name, run.console(), deletion);
        let held = run.ensure(dynamodb, table()).await?;
        table().check_unprotected(&held)
    });
    join_all(found).await.all().map(drop)
}

/// Writes the parameters that tell of tables and of nothing that only the database knows.
async fn parameters(run: &Run<'_>, ssm: &Ssm, stack: &Stack) -> Result<()> {
    let told: Vec<_> = stack.parameters_of(ParameterLayer::Db).filter(|(_, one)| is_known_early(one)).collect();
    if told.is_empty() {
        return Ok(());
    }
    let names = told.iter().map(|(name, parameter)| ((*name).to_owned(), parameter.secure()));
    let parameters = Parameters::new(run, ssm, stack, LAYER, names);
    let values = values(run, stack).await?;
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let wanted = told.iter().map(|(name, parameter)| {
        let value = Zeroizing::new(resolve(parameter.template(), &values)?);
        Ok(Wanted { name: (*name).to_owned(), value, secure: parameter.secure() })
    });
    parameters.ensure(run, wanted.collect::<Result<_>>()?).await
}

/// Says whether a parameter refers to nothing but tables.
pub fn is_known_early(parameter: &Parameter) -> bool {
    refers_to_table(parameter.template()) && !parameter.template().contains("${db.")
}

/// Returns what references to tables stand for: their names and ARNs follow from the stack and its account.
///
/// # Errors
/// When the credentials are not those of the stack's account.
pub async fn values(run: &Run<'_>, stack: &Stack) -> Result<Vec<(String, String)>> {
    if stack.tables.is_empty() {
        return Ok(Vec::new());
    }
    let (names, account) = (stack.table_names(), run.account().await?);
    let values = stack.tables.keys().flat_map(|key| {
        let name = names.name(key).unwrap_or_default();
        [(format!("table.{key}.name"), name.to_owned()), (format!("table.{key}.arn"), names.arn(name, &account))]
    });
    Ok(values.collect())
}
