//! The clients of everything that is asked, and where a service is.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use ecs_aws::{Api, Session};
use ecs_core::{Error, Kind, Result};

/// First pause before a call is sent again.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// Longest pause before a call is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a call is sent again that ECS asks to slow down: two minutes in all, where ECS registers one task
/// definition a second.
const TRIES: usize = 28;

/// The clients.
#[derive(Debug, Clone)]
pub struct Aws {
    /// Configuration and credentials
    pub session: Session,
    /// Region
    pub region: String,
    /// ECS
    pub ecs: Api<aws_sdk_ecs::Client>,
    /// ECS, for looks in a loop: sent once each, for the SDK's own pauses grow beyond the loop's
    pub looks: Api<aws_sdk_ecs::Client>,
    /// Parameter Store
    pub ssm: Api<aws_sdk_ssm::Client>,
    /// Secrets Manager
    pub secrets: Api<aws_sdk_secretsmanager::Client>,
    /// IAM
    pub iam: Api<aws_sdk_iam::Client>,
    /// CloudWatch
    pub cloudwatch: Api<aws_sdk_cloudwatch::Client>,
    /// Elastic Load Balancing
    pub elb: Api<aws_sdk_elasticloadbalancingv2::Client>,
}

impl Aws {
    /// Makes the clients of a session.
    pub fn new(session: Session, region: &str) -> Self {
        let ecs = session.api(aws_sdk_ecs::Client::new);
        Self {
            region: region.to_owned(),
            looks: Api { read: ecs.write.clone(), write: ecs.write.clone() },
            ecs,
            ssm: session.api(aws_sdk_ssm::Client::new),
            secrets: session.api(aws_sdk_secretsmanager::Client::new),
            iam: session.api(aws_sdk_iam::Client::new),
            cloudwatch: session.api(aws_sdk_cloudwatch::Client::new),
            elb: session.api(aws_sdk_elasticloadbalancingv2::Client::new),
            session,
        }
    }

    /// Returns the clients of CloudWatch Logs in a region.
    pub fn logs(&self, region: &str) -> Api<aws_sdk_cloudwatchlogs::Client> {
        let here = region == self.region;
        let session = if here { self.session.clone() } else { self.session.in_region(region) };
        session.api(aws_sdk_cloudwatchlogs::Client::new)
    }
}

/// Sends a writing call, again where ECS has not taken it because of the moment: it asks to slow down, or does not see
/// yet what was made just now.
///
/// # Errors
/// The call's own, when it is of another kind or time is up.
pub async fn insist<T, F: Future<Output = Result<T>>>(call: impl FnMut() -> F) -> Result<T> {
    let pauses = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE);
    let passes = |error: &Error| matches!(error.kind(), Kind::Throttled | Kind::NotYet);
    call.retry(pauses.with_max_times(TRIES).with_jitter()).when(passes).await
}
