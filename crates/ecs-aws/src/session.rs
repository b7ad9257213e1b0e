//! Configuration and credentials of one run, and the clients made of them.

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use ecs_core::tool::{Access, Cloud};
use ecs_core::{Error, Kind, Result};

use crate::error::Answer as _;

/// Longest time for one attempt of one call; AWS answers control-plane calls within seconds.
const ATTEMPT: Duration = Duration::from_secs(60);
/// Attempts of a reading call. The engine goes on after them where AWS only asks to slow down.
const READ_ATTEMPTS: u32 = 8;

/// Two clients of one service that share their connections.
///
/// A reading call can be sent again by the SDK at will. A writing call is sent once: most creates have no client token,
/// so only the engine, which looks first whether the call took effect, may send it again.
#[derive(Debug, Clone)]
pub struct Api<C> {
    /// For calls that change nothing
    pub read: C,
    /// For calls that change something
    pub write: C,
}

/// Whose the credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Number of the account
    pub account: String,
    /// ARN of the user, of the assumed role's session, or of the account itself
    pub arn: String,
}

/// Configuration and credentials, loaded once.
#[derive(Debug, Clone)]
pub struct Session {
    read: SdkConfig,
    write: SdkConfig,
}

impl Session {
    /// Makes the two clients of a service: `session.api(aws_sdk_ecr::Client::new)`.
    pub fn api<C>(&self, client: impl Fn(&SdkConfig) -> C) -> Api<C> {
        Api { read: client(&self.read), write: client(&self.write) }
    }

    /// Returns the same session for another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        let moved = |config: &SdkConfig| config.to_builder().region(Region::new(region.to_owned())).build();
        Self { read: moved(&self.read), write: moved(&self.write) }
    }

    /// Asks whose the credentials are.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when they are missing or refused.
    pub async fn caller(&self) -> Result<Caller> {
        let identity = aws_sdk_sts::Client::new(&self.read).get_caller_identity().send().await;
        let identity = identity.answer("sts:GetCallerIdentity").map_err(|error| {
            let error = error.doing("checking the credentials");
            if matches!(error.kind(), Kind::Throttled | Kind::Transient) {
                return error.hint("is the network up, and the region or --endpoint-url right?");
            }
            error
                .with_kind(Kind::Credentials)
                .hint("set a profile with --profile or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        })?;
        let unknown = || Error::new(Kind::Credentials, "AWS did not say which account the credentials belong to");
        Ok(Caller { account: identity.account.ok_or_else(unknown)?, arn: identity.arn.unwrap_or_default() })
    }
}

impl Cloud for Session {
    async fn connect(access: &Access) -> Result<Self> {
        let app = AppName::new(access.tool).map_err(|error| Error::other(format!("{}: {error}", access.tool)))?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).app_name(app);
        if let Some(profile) = &access.profile {
            // Named on purpose, so it wins over credentials in the environment, as with the AWS CLI.
            let provider = ProfileFileCredentialsProvider::builder().profile_name(profile);
            loader = loader.profile_name(profile).credentials_provider(provider.build());
        }
        if let Some(region) = &access.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &access.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        let mut builder = config
            .to_builder()
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build())
            .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS));
        if config.region().is_none() {
            builder.set_region(Region::new("us-east-1"));
        }
        // Reading the system's certificates takes longer than all the calls to a local endpoint.
        if config.endpoint_url().is_some_and(|url| url.starts_with("http://")) {
            builder = builder.http_client(aws_smithy_http_client::Builder::new().build_http());
        }
        let read = builder.build();
        let write = read.to_builder().retry_config(RetryConfig::disabled()).build();
        Ok(Self { read, write })
    }

    fn region(&self) -> Option<&str> {
        self.read.region().map(Region::as_ref)
    }

    async fn account(&self) -> Result<String> {
        Ok(self.caller().await?.account)
    }
}
