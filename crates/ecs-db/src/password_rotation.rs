//! How often RDS changes the master password that it keeps in Secrets Manager.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::RotationRulesType;
use ecs_aws::{Answer as _, Api, Session};
use ecs_core::id::SecretArn;
use ecs_core::{Change, Error, Kind, Owner, Resource, Result, Run, Stack};

/// The rotation of one secret that RDS manages.
///
/// RDS rotates it every seven days, and Secrets Manager takes another schedule for it, without a Lambda function:
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_managed.html>
#[derive(Debug)]
struct PasswordRotation {
    instance: String,
    secret: SecretArn,
    days: i64,
}

/// What Secrets Manager says the rotation is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Live {
    enabled: bool,
    days: Option<i64>,
    /// A `rate()` or `cron()` expression, where somebody has set one: the days then only follow from it
    expression: Option<String>,
}

/// Makes the password rotate as often as the stack file says; without a word of it nobody looks.
///
/// # Errors
/// Any refusal by Secrets Manager.
pub async fn ensure(run: &Run<'_>, session: &Session, stack: &Stack, secret: Option<SecretArn>) -> Result<()> {
    // It goes with its instance; and that of an instance that is only planned is planned with it.
    let (Some(days), Some(secret), false) = (stack.db.password_rotation_days, secret, run.destroys()) else {
        return Ok(());
    };
    let rotation = PasswordRotation { instance: stack.db.identifier.clone(), secret, days: days.into() };
    run.ensure(&session.api(Client::new), rotation).await.map(drop)
}

impl Live {
    /// Writes the schedule: `30 days`. A rate in days is the same as that number of them.
    fn words(&self) -> String {
        let rate = |text: &str| text.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?.0.parse::<i64>().ok();
        let in_days = |text: &str| rate(text).filter(|_| text.contains("day"));
        match (self.enabled, &self.expression, self.days) {
            (false, _, _) => "off".to_owned(),
            (true, Some(text), _) => in_days(text).map_or_else(|| text.clone(), words),
            (true, None, Some(days)) => words(days),
            (true, None, None) => "unknown".to_owned(),
        }
    }
}

impl Resource for PasswordRotation {
    type Api = Api<Client>;
    type Live = Live;
    const KIND: &'static str = "password rotation of DB instance";
    /// A rotation that is going on "typically completes within one minute".
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const USUAL: &'static str = "less than a minute";

    fn name(&self) -> String {
        self.instance.clone()
    }

    fn id(&self, _live: &Live) -> String {
        self.secret.to_string()
    }

    fn planned(&self) -> Live {
        Live { enabled: true, days: Some(self.days), expression: None }
    }

    async fn find(&self, secrets: &Self::Api) -> Result<Option<Live>> {
        let reply = secrets.read.describe_secret().secret_id(self.secret.as_str()).send().await;
        let reply = reply.answer("secretsmanager:DescribeSecret")?;
        let rules = reply.rotation_rules.as_ref();
        Ok(Some(Live {
            enabled: reply.rotation_enabled == Some(true),
            days: rules.and_then(|rules| rules.automatically_after_days),
            expression: rules.and_then(|rules| rules.schedule_expression.clone()),
        }))
    }

    /// Never called: the secret is there, and has rules.
    async fn create(&self, _secrets: &Self::Api) -> Result<Live> {
        Ok(self.planned())
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        Change::of("every", &live.words(), &words(self.days)).into_iter().collect()
    }

    /// Sets the schedule, and rotates nothing by that: "if you don't specify [`RotateImmediately`], Secrets Manager rotates
    /// the secret immediately".
    async fn update(&self, secrets: &Self::Api, _live: &Live, _changes: &[Change]) -> Result<()> {
        let rules = RotationRulesType::builder().automatically_after_days(self.days).build();
        let call = secrets.write.rotate_secret().secret_id(self.secret.as_str()).rotation_rules(rules);
        call.rotate_immediately(false).send().await.answer("secretsmanager:RotateSecret").map_err(explain)?;
        Ok(())
    }

    async fn delete(&self, _secrets: &Self::Api, _live: &Live) -> Result<()> {
        // It goes with the instance.
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        // The instance's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _secrets: &Self::Api, _live: &Live) -> Result<()> {
        Ok(())
    }
}

fn words(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

/// "A previous rotation isn't complete. That rotation will be reattempted."
fn explain(error: Error) -> Error {
    let busy = error.code() == Some("InvalidRequestException") && error.message().contains("previous rotation");
    if busy { error.with_kind(Kind::Busy) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_compared_by_its_days() {
        let wanted = PasswordRotation { instance: "db".to_owned(), secret: "arn:secret".into(), days: 30 };
        let expression = |text: &str| Live { expression: Some(text.to_owned()), days: Some(30), enabled: true };
        let cases = [
            (wanted.planned(), None),
            (Live { days: Some(7), ..wanted.planned() }, Some("every: 7 days -> 30 days")),
            (Live { enabled: false, ..wanted.planned() }, Some("every: off -> 30 days")),
            (expression("rate(30 days)"), None),
            (expression("rate(30 hours)"), Some("every: rate(30 hours) -> 30 days")),
            (expression("cron(0 8 1 * ? *)"), Some("every: cron(0 8 1 * ? *) -> 30 days")),
        ];
        for (live, change) in cases {
            let changes: Vec<_> = wanted.diff(&live).iter().map(ToString::to_string).collect();
            assert_eq!(changes.first().map(String::as_str), change, "{live:?}");
        }
    }
}
