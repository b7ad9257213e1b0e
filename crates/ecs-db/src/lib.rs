//! The database layer: DB subnet group, master password, PostgreSQL instance, DynamoDB tables, and the parameters that
//! tell of them.

mod difference;
mod dynamodb;
mod engine_version;
mod existing;
mod former_tables;
mod instance;
mod parameter_group;
mod password;
mod password_rotation;
mod rds;
mod rotation;
mod sight;
mod status;
mod subnet_group;
mod table;
mod table_deletion;
mod table_difference;
mod table_shape;
mod tables;

use std::rc::Rc;

use aws_sdk_rds::Client;
use ecs_aws::former_parameters::{self, Spared};
use ecs_aws::parameter::{Parameters, Wanted as WantedParameter, resolve};
use ecs_aws::{Api, Session};
use ecs_core::id::planned;
use ecs_core::member::{self, Net, Sg};
use ecs_core::stack::{Parameter, ParameterLayer, PasswordStore, refers_to_table};
use ecs_core::tool::Tool;
use ecs_core::{All as _, Error, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::difference::Wanted;
use crate::engine_version::EngineVersion;
use crate::instance::Instance;
use crate::parameter_group::ParameterGroup;
use crate::password::Secret;
use crate::sight::Sight;
use crate::subnet_group::SubnetGroup;

/// Name of the layer in the identity tags.
const LAYER: &str = "db";
/// Reference that a parameter's value can be given only once the instance is available.
const HOST: &str = "${db.host}";

/// Why a SecureString stays where the file has no database of its own: RDS keeps no password that it was once given.
const OLD_PASSWORD: &str = "it may hold the password of a database that an earlier file had, or of its final snapshot";

/// The tool `ecs-db`.
#[derive(Debug)]
pub struct Db;

/// Flags that only ecs-db has.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Delete the database without keeping its data in a final snapshot, and tables without a backup
    #[arg(long, global = true)]
    skip_final_snapshot: bool,
    /// Give the database another master password; tasks get it when they are deployed again
    #[arg(long, global = true)]
    rotate_password: bool,
}

impl Tool for Db {
    const NAME: &'static str = "ecs-db";
    const ABOUT: &'static str =
        "Create or update the PostgreSQL database of an ECS stack, its DynamoDB tables and their parameters";
    const EXAMPLES: &'static str = "  ecs-net --stack prod.toml | ecs-sg | ecs-db > db.json
  ecs-db < db.json
  ecs-db plan --exit-code < db.json
  ecs-db destroy < db.json
  ecs-db --rotate-password < prod.json
  ecs-db destroy --skip-final-snapshot < staging.json";
    const MEMBERS: &'static [&'static str] = &["db", "tables"];
    const STOOD_ON_BY: &'static [&'static str] = &["svc"];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Identity",
                    "Effect": "Allow",
                    "Action": "sts:GetCallerIdentity",
                    "Resource": "*"
                },
                {
                    "Sid": "Read",
                    "Effect": "Allow",
                    "Action": [
                        "ecs:DescribeServices",
                        "ecs:DescribeTaskDefinition",
                        "ecs:DescribeTasks",
                        "ecs:ListServices",
                        "ecs:ListTasks",
                        "rds:DescribeDBEngineVersions",
                        "rds:DescribeDBInstances",
                        "rds:DescribeDBParameterGroups",
                        "rds:DescribeDBParameters",
                        "rds:DescribeDBSubnetGroups",
                        "scheduler:GetSchedule",
                        "scheduler:ListSchedules",
                        "ssm:DescribeParameters"
                    ],
                    "Resource": "*"
                },
                {
                    "Sid": "Database",
                    "Effect": "Allow",
                    "Action": [
                        "rds:AddTagsToResource",
                        "rds:CreateDBInstance",
                        "rds:CreateDBParameterGroup",
                        // RDS asks for it when an instance is deleted with a final snapshot.
                        "rds:CreateDBSnapshot",
                        "rds:CreateDBSubnetGroup",
                        "rds:DeleteDBInstance",
                        "rds:DeleteDBParameterGroup",
                        "rds:DeleteDBSubnetGroup",
                        "rds:ListTagsForResource",
                        "rds:ModifyDBInstance",
                        "rds:ModifyDBParameterGroup",
                        "rds:ModifyDBSubnetGroup",
                        "rds:ResetDBParameterGroup"
                    ],
                    "Resource": [
                        "arn:aws:rds:*:*:db:*",
                        "arn:aws:rds:*:*:og:default*",
                        "arn:aws:rds:*:*:pg:*",
                        "arn:aws:rds:*:*:snapshot:*",
                        "arn:aws:rds:*:*:subgrp:*"
                    ]
                },
                // What RDS looks up in the caller's name, at least until its own role exists: AWS's knowledge centre,
                // "How do I give IAM users least privileges on RDS".
                {
                    "Sid": "Network",
                    "Effect": "Allow",
                    "Action": [
                        "ec2:DescribeAccountAttributes",
                        "ec2:DescribeAvailabilityZones",
                        "ec2:DescribeInternetGateways",
                        "ec2:DescribeSecurityGroups",
                        "ec2:DescribeSubnets",
                        "ec2:DescribeVpcAttribute",
                        "ec2:DescribeVpcs"
                    ],
                    "Resource": "*"
                },
                // The account's first instance makes RDS's own role:
                // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html
                {
                    "Sid": "FirstDatabase",
                    "Effect": "Allow",
                    "Action": "iam:CreateServiceLinkedRole",
                    "Resource": "arn:aws:iam::*:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS",
                    "Condition": { "StringEquals": { "iam:AWSServiceName": "rds.amazonaws.com" } }
                },
                // What RDS asks of the caller when it is to keep the password:
                // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
                {
                    "Sid": "ManagedPassword",
                    "Effect": "Allow",
                    "Action": [
                        "secretsmanager:CreateSecret",
                        "secretsmanager:DescribeSecret",
                        "secretsmanager:RotateSecret",
                        "secretsmanager:TagResource"
                    ],
                    "Resource": "arn:aws:secretsmanager:*:*:secret:rds!*"
                },
                {
                    "Sid": "ManagedPasswordKey",
                    "Effect": "Allow",
                    "Action": "kms:DescribeKey",
                    "Resource": "arn:aws:kms:*:*:key/*"
                },
                {
                    "Sid": "ListTables",
                    "Effect": "Allow",
                    "Action": "dynamodb:ListTables",
                    "Resource": "*"
                },
                {
                    "Sid": "Tables",
                    "Effect": "Allow",
                    "Action": [
                        "dynamodb:CreateBackup",
                        "dynamodb:CreateTable",
                        "dynamodb:DeleteTable",
                        "dynamodb:DescribeContinuousBackups",
                        "dynamodb:DescribeTable",
                        "dynamodb:DescribeTimeToLive",
                        "dynamodb:ListTagsOfResource",
                        "dynamodb:TagResource",
                        "dynamodb:UpdateContinuousBackups",
                        "dynamodb:UpdateTable",
                        "dynamodb:UpdateTimeToLive"
                    ],
                    "Resource": "arn:aws:dynamodb:*:*:table/*"
                },
                // DynamoDB uses a key that the file names in the caller's name:
                // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
                {
                    "Sid": "TableKeys",
                    "Effect": "Allow",
                    "Action": [
                        "kms:CreateGrant",
                        "kms:Decrypt",
                        "kms:DescribeKey",
                        "kms:Encrypt",
                        "kms:GenerateDataKey",
                        "kms:GenerateDataKeyWithoutPlaintext",
                        "kms:ReEncryptFrom",
                        "kms:ReEncryptTo"
                    ],
                    "Resource": "arn:aws:kms:*:*:key/*",
                    "Condition": { "StringLike": { "kms:ViaService": "dynamodb.*.amazonaws.com" } }
                },
                {
                    "Sid": "Parameters",
                    "Effect": "Allow",
                    "Action": [
                        "ssm:AddTagsToResource",
                        "ssm:DeleteParameter",
                        "ssm:GetParameters",
                        "ssm:ListTagsForResource",
                        "ssm:PutParameter"
                    ],
                    "Resource": "arn:aws:ssm:*:*:parameter/*"
                },
                // SecureStrings: https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
                {
                    "Sid": "SecureParameters",
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt", "kms:Encrypt"],
                    "Resource": "arn:aws:kms:*:*:key/*",
                    "Condition": { "StringLike": { "kms:ViaService": "ssm.*.amazonaws.com" } }
                }
            ]
        })
    }

    fn schema() -> Value {
        json!({ "db": member::schema::<member::Db>(), "tables": member::schema::<member::Tables>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, options: &Options) -> Result<()> {
        let (database, tables) =
            join!(database(run, session, stack, options), tables::layer(run, session, stack, options));
        (database, tables).all()?;
        let ssm = session.api(aws_sdk_ssm::Client::new);
        let ours = stack.db.enabled && !stack.db.existing;
        let spared = Spared {
            // A rotation that a run has begun is finished, not forgotten.
            needed: Secret::new(&ssm, stack).next_name().ok().filter(|_| !run.destroys()).into_iter().collect(),
            secure: (!ours).then_some(OLD_PASSWORD),
        };
        former_parameters::ensure(run, session, &ssm, stack, LAYER, spared).await
    }
}

/// Makes the database.
async fn database(run: &Run<'_>, session: &Session, stack: &Stack, options: &Options) -> Result<()> {
    if !stack.db.enabled {
        return run.publish_none::<member::Db>();
    }
    let rds = session.api(Client::new);
    let ssm = session.api(aws_sdk_ssm::Client::new);
    if stack.db.existing {
        if options.rotate_password {
            return Err(Error::usage("the password of a database that somebody else made is not ours to change")
                .hint("leave out --rotate-password"));
        }
        return existing::layer(run, &rds, &ssm, stack).await;
    }
    let sight = Rc::new(Sight::new(stack));
    let version = Rc::new(EngineVersion::new(stack));
    let secret = Rc::new(Secret::new(&ssm, stack));
    let told: Vec<_> = told(stack).collect();
    let names = told.iter().map(|(name, parameter)| ((*name).to_owned(), parameter.secure()));
    let parameters = Parameters::new(run, &ssm, stack, LAYER, names);
    let (late, early): (Vec<_>, Vec<_>) = told.iter().partition(|(_, parameter)| parameter.template().contains(HOST));

    // None of these needs another: the first round of calls.
    let (subnet_group, security_group, password, version_chosen, parameters_read) = join!(
        async {
            let net = run.input::<Net>().await?;
            run.expect_lag(net.new);
            run.ensure(&rds, SubnetGroup::new(run, stack, &net)?).await
        },
        async {
            let sg = run.input::<Sg>().await?;
            run.expect_lag(sg.new);
            sg.db_security_group_id.ok_or_else(|| {
                Error::usage("the document's member `sg` has no `db_security_group_id`")
                    .hint("run ecs-sg with the same stack file, or add the database's security group by hand")
            })
        },
        secret.ensure(run, stack, &rds, &sight),
        choose_version(run, &rds, &version, &sight),
        parameters.read(),
    );
    let (subnet_group, security_group, (), (), ()) =
        (subnet_group, security_group, password, version_chosen, parameters_read).all()?;
    let group = parameter_group(run, &rds, stack, (&version, &sight)).await?;
    let wanted = Wanted::new(stack, &subnet_group.name, security_group, group);
    let instance = Instance::new(stack, wanted, (&version, &secret, &sight), run.console(), options);
    let instance = run.ensure(&rds, instance).await?;
    if run.destroys() {
        instance.check_unprotected(stack)?;
    }

    // Only now: a change of the instance that is refused must not reach the tasks through its parameters.
    let tables = if told.iter().any(|(_, one)| refers_to_table(one.template())) {
        tables::values(run, stack).await?
    } else {
        Vec::new()
    };
    let early = resolved(&early, stack, &tables, None)?;
    let (live, early) = join!(run.ready(&rds, &instance), parameters.ensure(run, early));
    let (live, ()) = (live, early).all()?;
    if live.awaits_reboot() {
        let identifier = &stack.db.identifier;
        run.console().warn(&format!(
            "DB instance {identifier}: parameters take effect when it is rebooted, which ecs-db never does: \
             `aws rds reboot-db-instance --db-instance-identifier {identifier}`"
        ));
    }
    // An instance that is still being made has no host in a plan either.
    let host = live.host().map_or_else(|| planned("endpoint", &stack.db.identifier), str::to_owned);
    parameters.ensure(run, resolved(&late, stack, &tables, Some(&host))?).await?;
    password_rotation::ensure(run, session, stack, live.secret()).await?;
    rotation::ensure(run, stack, (&rds, &ssm), &secret, options.rotate_password && !instance.is_new()).await?;
    // The tasks read the parameters: nobody may start them before those are there.
    run.publish(&member::Db {
        instance_arn: live.arn(),
        host,
        port: stack.db.port,
        name: stack.db.database.clone(),
        // RDS may still show the secret that it was just told to give up.
        secret_arn: live.secret().filter(|_| stack.db.password == PasswordStore::SecretsManager),
    })
}

/// Returns the parameters that tell of the database, but for the password's.
fn told(stack: &Stack) -> impl Iterator<Item = (&str, &Parameter)> {
    let all = stack.parameters_of(ParameterLayer::Db);
    all.filter(|(_, parameter)| !Secret::is(parameter.template()) && !tables::is_known_early(parameter))
}

/// Makes the DB parameter group, where the file gives parameters, and returns its name; a destroy looks for all of before.
async fn parameter_group(
    run: &Run<'_>,
    rds: &Rds,
    stack: &Stack,
    (version, sight): (&EngineVersion, &Sight),
) -> Result<Option<String>> {
    if run.destroys() {
        let names = parameter_group::names(rds, stack).await?;
        let sought = names.iter().map(|name| run.ensure(rds, ParameterGroup::sought(stack, name, run.console())));
        join_all(sought).await.all()?;
        return Ok(None);
    }
    if parameter_group::wanted(&stack.db).is_empty() {
        return Ok(None);
    }
    let seen = sight.get(rds).await?;
    let runs = seen.as_ref().as_ref().and_then(|instance| instance.engine_version()).map(str::to_owned);
    let version = match runs {
        Some(version) => version,
        None => version.choose(rds).await?,
    };
    run.ensure(rds, ParameterGroup::new(stack, &version, run.console())).await?;
    Ok(Some(parameter_group::name(&stack.db, &version)))
}

/// Finds out early which version a new instance gets, and says so.
async fn choose_version(run: &Run<'_>, rds: &Rds, version: &EngineVersion, sight: &Sight) -> Result<()> {
    if run.destroys() || version.given().is_some() {
        return Ok(());
    }
    let chosen = async { if sight.get(rds).await?.is_some() { Ok(None) } else { version.choose(rds).await.map(Some) } };
    let doing = format!("choosing the PostgreSQL version of DB instance {}", sight.identifier());
    if let Some(chosen) = chosen.await.map_err(|error| error.doing(doing))? {
        run.console().say("version", &format!("DB instance {}: PostgreSQL {chosen}", sight.identifier()));
    }
    Ok(())
}

/// Resolves the values of parameters; a host that is not known yet is in none of them.
fn resolved(
    parameters: &[&(&str, &Parameter)],
    stack: &Stack,
    tables: &[(String, String)],
    host: Option<&str>,
) -> Result<Vec<WantedParameter>> {
    let port = stack.db.port.to_string();
    let mut values = vec![("db.port", port.as_str()), ("db.name", &stack.db.database), ("db.user", &stack.db.user)];
    values.extend(host.map(|host| ("db.host", host)));
    values.extend(tables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let wanted = parameters.iter().map(|(name, parameter)| {
        let value = Zeroizing::new(resolve(parameter.template(), &values)?);
        Ok(WantedParameter { name: (*name).to_owned(), value, secure: parameter.secure() })
    });
    wanted.collect()
}

/// The client of RDS.
type Rds = Api<Client>;
/// The client of DynamoDB.
type DynamoDb = Api<aws_sdk_dynamodb::Client>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The sources of every call that the layer makes; each names its call as `service:Operation`, which is its action.
    const SOURCES: [&str; 18] = [
        include_str!("parameter_group.rs"),
        include_str!("existing.rs"),
        include_str!("rotation.rs"),
        include_str!("dynamodb.rs"),
        include_str!("former_tables.rs"),
        include_str!("table.rs"),
        include_str!("table_deletion.rs"),
        include_str!("engine_version.rs"),
        include_str!("instance.rs"),
        include_str!("password.rs"),
        include_str!("password_rotation.rs"),
        include_str!("rds.rs"),
        include_str!("sight.rs"),
        include_str!("subnet_group.rs"),
        include_str!("../../ecs-aws/src/former_parameters.rs"),
        include_str!("../../ecs-aws/src/in_use.rs"),
        include_str!("../../ecs-aws/src/parameter.rs"),
        include_str!("../../ecs-aws/src/session.rs"),
    ];

    #[test]
    fn the_policy_allows_exactly_the_calls() {
        let services = ["dynamodb:", "ecs:", "rds:", "scheduler:", "secretsmanager:", "ssm:", "sts:"];
        let is_action = |text: &str| services.iter().any(|service| text.starts_with(service)) && !text.contains(' ');
        let calls: BTreeSet<&str> =
            SOURCES.iter().flat_map(|source| source.split('"')).filter(|text| is_action(text)).collect();
        let policy = Db::policy().to_string();
        let mut allowed: BTreeSet<&str> = policy.split('"').filter(|text| is_action(text)).collect();
        // Parts of RDS's own calls, not calls of their own.
        for part in ["rds:CreateDBSnapshot", "secretsmanager:CreateSecret", "secretsmanager:TagResource"] {
            assert!(allowed.remove(part), "{part}");
        }
        assert_eq!(allowed, calls);
    }

    #[test]
    fn parameters_are_resolved_as_soon_as_they_can_be() {
        let stack = Stack::default();
        let all: Vec<_> = told(&stack).collect();
        let (late, early): (Vec<_>, Vec<_>) =
            all.iter().partition(|(_, parameter)| parameter.template().contains(HOST));
        let text = |wanted: Vec<WantedParameter>| {
            let pairs = wanted.iter().map(|wanted| {
                format!("{}={}{}", wanted.name, wanted.value.as_str(), if wanted.secure { " secure" } else { "" })
            });
            pairs.collect::<Vec<_>>()
        };
        assert_eq!(
            text(resolved(&early, &stack, &[], None).expect("known")),
            ["/ecs/backend/DB_NAME=fileanalyzer", "/ecs/backend/DB_PORT=5432", "/ecs/backend/DB_USER=postgres secure"]
        );
        assert_eq!(text(resolved(&late, &stack, &[], Some("h")).expect("known")), ["/ecs/backend/DB_HOST=h"]);
    }
}
