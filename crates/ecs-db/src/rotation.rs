//! Another master password, in an order that a run which is killed anywhere leaves to be continued.

use ecs_aws::Answer as _;
use ecs_aws::parameter::{self, Ssm, Wanted};
use ecs_core::stack::PasswordStore;
use ecs_core::{Error, Identity, Kind, Result, Run, Stack};

use crate::password::{Secret, generate};
use crate::{LAYER, Rds};

/// Gives the database another master password where the person asks for it, or a run before this one has begun to.
///
/// The new password is first kept in a parameter beside the old one's, then told to RDS, then written over the old one,
/// and then the parameter beside it is deleted. So it is known from the start to whoever goes on with it: every later run
/// sees the parameter beside, and does what is left.
///
/// # Errors
/// Any refusal by SSM or RDS.
pub async fn ensure(
    run: &Run<'_>,
    stack: &Stack,
    (rds, ssm): (&Rds, &Ssm),
    secret: &Secret,
    asked: bool,
) -> Result<()> {
    let instance = &stack.db.identifier;
    let begun = secret.next().await?;
    if run.destroys() || !(asked || begun.is_some()) {
        return Ok(());
    }
    if !run.applies() {
        let what = format!("DB instance {instance}: master password");
        run.say_changed(&match secret.next_name() {
            Ok(next) if begun.is_some() => {
                format!("{what}: a rotation that was begun is to be finished, with the password in {next}")
            }
            Ok(_) | Err(_) => what,
        });
        return Ok(());
    }
    run.account().await?;
    let doing = |error: Error| error.doing(format!("changing the master password of DB instance {instance}"));
    if stack.db.password == PasswordStore::SecretsManager {
        let call = rds.write.modify_db_instance().db_instance_identifier(instance);
        let call = call.rotate_master_user_password(true).apply_immediately(true).send().await;
        call.answer("rds:ModifyDBInstance").map_err(doing)?;
    } else {
        let value = match begun {
            Some(value) => value,
            None => {
                let value = generate()?;
                let beside = Wanted { name: secret.next_name()?, value: value.clone(), secure: true };
                let identity = Identity::new(&stack.name, LAYER, &beside.name);
                parameter::put(ssm, &beside, Some(&identity)).await.map_err(doing)?;
                value
            }
        };
        let call = rds.write.modify_db_instance().db_instance_identifier(instance).apply_immediately(true);
        let call = call.master_user_password(value.as_str()).send().await;
        call.answer("rds:ModifyDBInstance").map_err(|error| match error.code() {
            Some("InvalidDBInstanceState") => {
                doing(error.with_kind(Kind::Other)).hint("run again when it is available: this goes on from here")
            }
            _ => doing(error),
        })?;
        for name in secret.names() {
            let wanted = Wanted { name: name.clone(), value: value.clone(), secure: true };
            parameter::put(ssm, &wanted, None).await.map_err(doing)?;
        }
        parameter::delete(ssm, &secret.next_name()?).await.map_err(doing)?;
    }
    let line = "tasks that run keep the old one until they are deployed again: `ecs-deploy --service NAME --force`";
    run.say_changed(&format!("DB instance {instance}: master password; {line}"));
    Ok(())
}
