//! A database that somebody else made: checked, told of in parameters, and never modified or deleted.

use aws_sdk_rds::types::DbInstance;
use ecs_aws::parameter::{Parameters, Ssm};
use ecs_core::id::{DbInstanceArn, SecretArn, planned};
use ecs_core::member::{self, Net};
use ecs_core::stack::PasswordStore;
use ecs_core::{Error, Health, Result, Run, Stack};
use futures::join;

use crate::engine_version::ENGINE;
use crate::sight::Sight;
use crate::{LAYER, Rds, resolved, status, tables, told};

/// Checks the instance, writes the parameters that tell of it, and the member `db`.
///
/// # Errors
/// When the instance is not there or cannot be the stack's database; any refusal by RDS or SSM.
pub async fn layer(run: &Run<'_>, rds: &Rds, ssm: &Ssm, stack: &Stack) -> Result<()> {
    let told: Vec<_> = told(stack).collect();
    let names = told.iter().map(|(name, parameter)| ((*name).to_owned(), parameter.secure()));
    let parameters = Parameters::new(run, ssm, stack, LAYER, names);
    let references: Vec<_> = told.iter().collect();
    let values = tables::values(run, stack).await?;
    if run.destroys() {
        let unknown = planned("endpoint", &stack.db.identifier);
        return parameters.ensure(run, resolved(&references, stack, &values, Some(&unknown))?).await;
    }
    let sight = Sight::new(stack);
    let (net, seen) = join!(run.input::<Net>(), sight.get(rds));
    let doing = || format!("checking DB instance {}", stack.db.identifier);
    let (net, seen) = (net?, seen.map_err(|error| error.doing(doing()))?);
    let live = seen.as_ref().as_ref().ok_or_else(|| {
        let error = Error::usage(format!("there is no DB instance {} in the region", stack.db.identifier));
        error.doing(doing()).hint("correct `db.identifier`, or leave out `db.existing`: ecs-db then makes one")
    })?;
    let host = check(live, stack, &net).map_err(|error| error.doing(doing()))?;
    run.console().detail("kept", &format!("DB instance {} is used as it is", stack.db.identifier));
    parameters.ensure(run, resolved(&references, stack, &values, Some(&host))?).await?;
    run.publish(&member::Db {
        instance_arn: live.db_instance_arn().map(DbInstanceArn::from),
        host,
        port: stack.db.port,
        name: stack.db.database.clone(),
        secret_arn: secret(live).filter(|_| stack.db.password == PasswordStore::SecretsManager),
    })
}

fn secret(live: &DbInstance) -> Option<SecretArn> {
    live.master_user_secret().and_then(|secret| secret.secret_arn()).map(SecretArn::from)
}

/// Checks that an instance can be the stack's database, and returns its DNS name.
fn check(live: &DbInstance, stack: &Stack, net: &Net) -> Result<String> {
    let wrong = |what: String, hint: &str| Err(Error::usage(what).hint(hint));
    let engine = live.engine().unwrap_or_default();
    if engine != ENGINE {
        return wrong(format!("it runs {engine}, not PostgreSQL"), "name another instance in `db.identifier`");
    }
    let vpc = live.db_subnet_group().and_then(|group| group.vpc_id()).unwrap_or_default();
    if vpc != net.vpc_id.as_str() {
        return wrong(
            format!("it is in {vpc}, the stack in {}", net.vpc_id),
            "give the stack that VPC (bring your own network), or name another instance in `db.identifier`",
        );
    }
    match status::health(live.db_instance_status().unwrap_or_default()) {
        Health::Ready => {}
        Health::Pending(state) | Health::Leaving(state) | Health::Failed(state) => {
            return wrong(format!("it is {state}"), "run again when it is available");
        }
    }
    let endpoint = live.endpoint();
    let port = endpoint.and_then(|endpoint| endpoint.port()).unwrap_or_default();
    if port != i32::from(stack.db.port) {
        return wrong(format!("it listens on port {port}"), "set `db.port` to that");
    }
    if stack.db.password == PasswordStore::SecretsManager && secret(live).is_none() {
        return wrong(
            "RDS does not keep its password in Secrets Manager".to_owned(),
            "leave out `db.password`, and give the ARN of the parameter or secret that holds it to the services",
        );
    }
    match endpoint.and_then(|endpoint| endpoint.address()) {
        Some(host) => Ok(host.to_owned()),
        None => wrong("it has no endpoint".to_owned(), "run again when it is available"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::builders::DbInstanceBuilder;
    use aws_sdk_rds::types::{DbSubnetGroup, Endpoint, MasterUserSecret};
    use ecs_core::member::Member as _;

    use super::*;

    fn live() -> DbInstanceBuilder {
        DbInstance::builder()
            .engine("postgres")
            .db_instance_status("available")
            .db_subnet_group(DbSubnetGroup::builder().vpc_id("vpc-1").build())
            .endpoint(Endpoint::builder().address("db.example").port(5432).build())
    }

    #[test]
    fn an_instance_is_used_only_if_it_fits() {
        let net = Net { vpc_id: "vpc-1".into(), ..Net::unknown() };
        let mut stack = Stack::default();
        let check = |stack: &Stack, live: DbInstanceBuilder| {
            check(&live.build(), stack, &net).map_err(|error| error.message().to_owned())
        };
        assert_eq!(check(&stack, live()), Ok("db.example".to_owned()));
        let elsewhere = DbSubnetGroup::builder().vpc_id("vpc-2").build();
        let other = Endpoint::builder().address("db.example").port(5433).build();
        let cases = [
            (live().engine("mysql"), "it runs mysql, not PostgreSQL"),
            (live().db_subnet_group(elsewhere), "it is in vpc-2, the stack in vpc-1"),
            (live().db_instance_status("creating"), "it is creating"),
            (live().endpoint(other), "it listens on port 5433"),
        ];
        for (live, wrong) in cases {
            assert_eq!(check(&stack, live), Err(wrong.to_owned()));
        }
        stack.db.password = PasswordStore::SecretsManager;
        assert!(check(&stack, live()).is_err());
        let secret = MasterUserSecret::builder().secret_arn("arn:secret").build();
        assert!(check(&stack, live().master_user_secret(secret)).is_ok());
    }
}
