//! The target group of one service, and the second one of a service whose traffic ECS shifts.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{
    Matcher, ProtocolEnum, TargetGroup as Described, TargetGroupAttribute, TargetTypeEnum,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{TargetGroupArn, VpcId};
use ecs_core::stack::Service;
use ecs_core::{All as _, Change, Error, Identity, Kind, Owner, Resource, Result, Stack};
use futures::join;

use crate::elb::{self, Listings};
use crate::{Elb, LAYER};

/// The attribute that says how long a target drains.
const DELAY_KEY: &str = "deregistration_delay.timeout_seconds";
/// How long a target drains when nothing is said, in seconds:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html>
const DEFAULT_DELAY: i32 = 300;
/// What differs, as [`Change::field`].
const DELAY: &str = "deregistration delay";
/// Seconds between two health checks of a target.
const INTERVAL: i32 = 30;
/// Seconds without an answer that make a health check fail.
const TIMEOUT: i32 = 5;
/// Health checks in a row that make a target healthy, or unhealthy.
const THRESHOLD: i32 = 2;
/// HTTP code of a healthy answer.
const CODE: &str = "200";
/// The health check goes where the traffic goes.
const TRAFFIC_PORT: &str = "traffic-port";

/// A target group for the addresses of a service's tasks.
#[derive(Debug)]
pub struct TargetGroup {
    identity: Identity,
    vpc: VpcId,
    port: i32,
    health_path: String,
    delay: i32,
    /// Only whether it exists is of interest, not its attributes.
    for_destroy: bool,
    listings: Rc<Listings>,
}

/// What ELB says the target group is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: TargetGroupArn,
    protocol: String,
    port: i32,
    vpc: VpcId,
    kind: String,
    health_check: HealthCheck,
    delay: i32,
}

/// How the load balancer checks a target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HealthCheck {
    protocol: String,
    port: String,
    path: String,
    codes: String,
    interval: i32,
    timeout: i32,
    healthy: i32,
    unhealthy: i32,
}

impl TargetGroup {
    /// Makes the target group of a service.
    pub fn new(stack: &Stack, key: &str, service: &Service, vpc: &VpcId, listings: &Rc<Listings>) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, service.target_group(key)),
            vpc: vpc.clone(),
            port: i32::from(service.port),
            health_path: service.health_path.clone(),
            delay: service.deregistration_delay,
            for_destroy: false,
            listings: Rc::clone(listings),
        }
    }

    /// Makes the second target group of a service, for the tasks of the version to which ECS shifts the traffic.
    pub fn alternate(stack: &Stack, key: &str, service: &Service, vpc: &VpcId, listings: &Rc<Listings>) -> Self {
        let identity = Identity::new(&stack.name, LAYER, service.alternate_target_group(key));
        Self { identity, ..Self::new(stack, key, service, vpc, listings) }
    }

    /// Makes it one that is only looked for.
    pub fn for_destroy(self) -> Self {
        Self { for_destroy: true, ..self }
    }

    async fn read_delay(&self, elb: &Elb, arn: &str) -> Result<i32> {
        let reply = elb.read.describe_target_group_attributes().target_group_arn(arn).send().await;
        let reply = reply.answer("elasticloadbalancing:DescribeTargetGroupAttributes")?;
        let delay = reply.attributes().iter().find(|attribute| attribute.key() == Some(DELAY_KEY));
        Ok(delay.and_then(|delay| delay.value()?.parse().ok()).unwrap_or(DEFAULT_DELAY))
    }
}

impl Resource for TargetGroup {
    type Api = Elb;
    type Live = Live;
    const KIND: &'static str = "target group";
    /// It exists at once; it can be deleted as soon as no listener and no rule forwards to it.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const USUAL: &'static str = "a few seconds after the load balancer";

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            arn: TargetGroupArn::planned(&self.identity.name),
            protocol: ProtocolEnum::Http.as_str().to_owned(),
            port: self.port,
            vpc: self.vpc.clone(),
            kind: TargetTypeEnum::Ip.as_str().to_owned(),
            health_check: HealthCheck {
                protocol: ProtocolEnum::Http.as_str().to_owned(),
                port: TRAFFIC_PORT.to_owned(),
                path: self.health_path.clone(),
                codes: CODE.to_owned(),
                interval: INTERVAL,
                timeout: TIMEOUT,
                healthy: THRESHOLD,
                unhealthy: THRESHOLD,
            },
            delay: self.delay,
        }
    }

    async fn find(&self, elb: &Elb) -> Result<Option<Live>> {
        let list = self.listings.target_groups(elb).await?;
        let name = self.identity.name.as_str();
        let Some(group) = list.iter().find(|group| group.target_group_name() == Some(name)) else { return Ok(None) };
        let delay = if self.for_destroy {
            self.delay
        } else {
            self.read_delay(elb, group.target_group_arn().unwrap_or_default()).await?
        };
        Ok(Some(live(group, delay)))
    }

    async fn create(&self, elb: &Elb) -> Result<Live> {
        let check = self.planned().health_check;
        let call = elb.write.create_target_group().name(&self.identity.name).set_tags(elb::tags(&self.identity));
        let call = call.target_type(TargetTypeEnum::Ip).protocol(ProtocolEnum::Http).port(self.port);
        let call = call.vpc_id(self.vpc.as_str()).health_check_enabled(true);
        let call = call.health_check_protocol(ProtocolEnum::Http).health_check_port(check.port);
        let call = call.health_check_path(check.path).matcher(Matcher::builder().http_code(check.codes).build());
        let call = call.health_check_interval_seconds(check.interval).health_check_timeout_seconds(check.timeout);
        let call = call.healthy_threshold_count(check.healthy).unhealthy_threshold_count(check.unhealthy);
        let reply = call.send().await.answer("elasticloadbalancing:CreateTargetGroup").map_err(explain)?;
        let made = reply.target_groups.unwrap_or_default().into_iter().next();
        let made = present(made, "elasticloadbalancing:CreateTargetGroup", "the target group")?;
        Ok(live(&made, DEFAULT_DELAY))
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = self.planned();
        let fixed = [
            Change::of("target type", &live.kind, &wanted.kind),
            Change::of("protocol", &live.protocol, &wanted.protocol),
            Change::of("port", &live.port, &wanted.port),
            Change::of("VPC", &live.vpc, &wanted.vpc),
        ];
        let hint = "a target group keeps its type, protocol, port and VPC: give the service another `target_group`; \
                    requests for it fail from then on until ecs-svc has moved its tasks there";
        let (is, to_be) = (&live.health_check, &wanted.health_check);
        let changeable = [
            Change::of("health check protocol", &is.protocol, &to_be.protocol),
            Change::of("health check port", &is.port, &to_be.port),
            Change::of("health check path", &is.path, &to_be.path),
            Change::of("health check codes", &is.codes, &to_be.codes),
            Change::of("health check interval", &is.interval, &to_be.interval),
            Change::of("health check timeout", &is.timeout, &to_be.timeout),
            Change::of("healthy threshold", &is.healthy, &to_be.healthy),
            Change::of("unhealthy threshold", &is.unhealthy, &to_be.unhealthy),
            Change::of(DELAY, &live.delay, &wanted.delay),
        ];
        let fixed = fixed.into_iter().flatten().map(|change| change.refused(hint));
        fixed.chain(changeable.into_iter().flatten()).collect()
    }

    async fn update(&self, elb: &Elb, live: &Live, changes: &[Change]) -> Result<()> {
        let arn = live.arn.as_str();
        let health_check = async {
            if changes.iter().all(|change| change.field == DELAY) {
                return Ok(());
            }
            let check = self.planned().health_check;
            let call = elb.write.modify_target_group().target_group_arn(arn);
            let call = call.health_check_protocol(ProtocolEnum::Http).health_check_port(check.port);
            let call = call.health_check_path(check.path).matcher(Matcher::builder().http_code(check.codes).build());
            let call = call.health_check_interval_seconds(check.interval).health_check_timeout_seconds(check.timeout);
            let call = call.healthy_threshold_count(check.healthy).unhealthy_threshold_count(check.unhealthy);
            call.send().await.answer("elasticloadbalancing:ModifyTargetGroup").map(drop)
        };
        let delay = async {
            if changes.iter().all(|change| change.field != DELAY) {
                return Ok(());
            }
            let delay = TargetGroupAttribute::builder().key(DELAY_KEY).value(self.delay.to_string()).build();
            let call = elb.write.modify_target_group_attributes().target_group_arn(arn).attributes(delay);
            call.send().await.answer("elasticloadbalancing:ModifyTargetGroupAttributes").map(drop)
        };
        join!(health_check, delay).all()?;
        Ok(())
    }

    async fn delete(&self, elb: &Elb, live: &Live) -> Result<()> {
        delete(elb, live.arn.as_str()).await
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, elb: &Elb, live: &Live) -> Result<Owner> {
        elb::read_owner(elb, live.arn.as_str(), &self.identity).await
    }

    async fn adopt(&self, elb: &Elb, live: &Live) -> Result<()> {
        elb::adopt(elb, live.arn.as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.listings.forget_target_groups();
    }
}

/// Deletes a target group; while something forwards to it, ELB answers `ResourceInUse`.
pub async fn delete(elb: &Elb, arn: &str) -> Result<()> {
    let deleted = elb.write.delete_target_group().target_group_arn(arn).send().await;
    deleted.answer("elasticloadbalancing:DeleteTargetGroup").map(drop)
}

fn live(described: &Described, delay: i32) -> Live {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let protocol = |protocol: Option<&ProtocolEnum>| text(protocol.map(ProtocolEnum::as_str));
    Live {
        arn: described.target_group_arn().unwrap_or_default().into(),
        protocol: protocol(described.protocol()),
        port: described.port().unwrap_or_default(),
        vpc: described.vpc_id().unwrap_or_default().into(),
        kind: text(described.target_type().map(TargetTypeEnum::as_str)),
        health_check: HealthCheck {
            protocol: protocol(described.health_check_protocol()),
            port: text(described.health_check_port()),
            path: text(described.health_check_path()),
            codes: text(described.matcher().and_then(|matcher| matcher.http_code())),
            interval: described.health_check_interval_seconds().unwrap_or_default(),
            timeout: described.health_check_timeout_seconds().unwrap_or_default(),
            healthy: described.healthy_threshold_count().unwrap_or_default(),
            unhealthy: described.unhealthy_threshold_count().unwrap_or_default(),
        },
        delay,
    }
}

/// Says what an error of the create call means.
///
/// A VPC that ELB does not see yet is "The VPC ID 'vpc-…' is not found", under a code that means many things:
/// <https://github.com/ansible/ansible/issues/31919>
fn explain(error: Error) -> Error {
    match error.code() {
        Some("ValidationError") if error.message().contains("is not found") => error.with_kind(Kind::NotFound),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use ecs_core::resource::Means;

    use super::*;

    fn wanted() -> TargetGroup {
        let stack = Stack::default();
        TargetGroup::new(&stack, "backend", &stack.services["backend"], &"vpc-1".into(), &Rc::default())
    }

    /// A reply as in the example of DescribeTargetGroups:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html>
    fn described() -> Live {
        let described = Described::builder()
            .target_group_arn("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/backend-tg/73e2")
            .target_group_name("backend-tg")
            .protocol(ProtocolEnum::Http)
            .protocol_version("HTTP1")
            .port(3001)
            .vpc_id("vpc-1")
            .target_type(TargetTypeEnum::Ip)
            .health_check_enabled(true)
            .health_check_protocol(ProtocolEnum::Http)
            .health_check_port("traffic-port")
            .health_check_path("/api/health")
            .matcher(Matcher::builder().http_code("200").build())
            .health_check_interval_seconds(30)
            .health_check_timeout_seconds(5)
            .healthy_threshold_count(2)
            .unhealthy_threshold_count(2)
            .build();
        live(&described, 30)
    }

    fn changes(live: &Live) -> Vec<String> {
        wanted().diff(live).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn diff_finds_what_can_be_changed() {
        let check = described().health_check;
        let with = |health_check: HealthCheck| Live { health_check, ..described() };
        let cases: [(Live, &[&str]); 5] = [
            (described(), &[]),
            // What a create call leaves behind.
            (Live { delay: DEFAULT_DELAY, ..described() }, &["deregistration delay: 300 -> 30"]),
            (with(HealthCheck { path: "/".into(), ..check.clone() }), &["health check path: / -> /api/health"]),
            (with(HealthCheck { codes: "200-399".into(), ..check.clone() }), &["health check codes: 200-399 -> 200"]),
            // ELB's own defaults.
            (with(HealthCheck { healthy: 5, ..check }), &["healthy threshold: 5 -> 2"]),
        ];
        for (live, expected) in cases {
            assert_eq!(changes(&live), expected);
        }
    }

    #[test]
    fn what_never_changes_is_refused() {
        let cases = [
            (Live { port: 80, ..described() }, "port: 80 -> 3001"),
            (Live { kind: "instance".into(), ..described() }, "target type: instance -> ip"),
            (Live { protocol: "HTTPS".into(), ..described() }, "protocol: HTTPS -> HTTP"),
            (Live { vpc: "vpc-2".into(), ..described() }, "VPC: vpc-2 -> vpc-1"),
        ];
        for (live, expected) in cases {
            assert_eq!(changes(&live), [expected]);
            assert!(wanted().diff(&live).iter().all(|change| matches!(change.means, Means::Refuse(_))));
        }
    }

    #[test]
    fn a_vpc_that_is_not_seen_yet_is_not_found() {
        let answered = |text: &str| {
            Error::other(text).answered(Some("ValidationError".into()), "elasticloadbalancing:CreateTargetGroup", None)
        };
        assert_eq!(explain(answered("The VPC ID 'vpc-1' is not found")).kind(), Kind::NotFound);
        assert_eq!(explain(answered("A port must be specified")).kind(), Kind::Other);
    }
}
