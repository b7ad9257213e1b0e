//! A target tracking policy: what Application Auto Scaling keeps at which value.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ScalingPolicy as Described,
    ServiceNamespace, TargetTrackingScalingPolicyConfiguration,
};
use ecs_aws::Answer as _;
use ecs_core::id::{LoadBalancerArn, TargetGroupArn};
use ecs_core::stack::Autoscaling as Config;
use ecs_core::{Change, Error, Owner, Resource, Result, Stack};

use crate::scalable_target::{Policies, policies, resource};
use crate::{Autoscaling, ecs};

/// What a policy keeps at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Average CPU utilisation, in per cent
    Cpu,
    /// Average memory utilisation, in per cent
    Memory,
    /// Requests per task and minute
    Requests,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Requests];

    /// Returns those that the stack file asks for, with their target.
    pub fn wanted(config: &Config) -> impl Iterator<Item = (Self, u32)> {
        let targets = [config.cpu, config.memory, config.requests_per_target];
        Self::ALL.into_iter().zip(targets).filter_map(|(metric, target)| Some((metric, target?)))
    }

    /// Returns the name of its policy.
    pub fn policy(self, service: &str) -> String {
        let metric = match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Requests => "requests",
        };
        format!("{service}-{metric}")
    }

    fn r#type(self) -> MetricType {
        match self {
            Self::Cpu => MetricType::EcsServiceAverageCpuUtilization,
            Self::Memory => MetricType::EcsServiceAverageMemoryUtilization,
            Self::Requests => MetricType::AlbRequestCountPerTarget,
        }
    }
}

/// A target tracking policy of one service.
#[derive(Debug)]
pub struct ScalingPolicy {
    name: String,
    resource: String,
    metric: Metric,
    target: f64,
    /// What the requests are counted of
    label: Option<String>,
    list: Policies,
}

/// What Application Auto Scaling says the policy is.
#[derive(Debug, Clone)]
pub struct Live {
    metric: String,
    target: f64,
    label: Option<String>,
}

impl ScalingPolicy {
    /// Makes the policy of a service for one metric.
    ///
    /// # Errors
    /// When requests are to be counted and nobody says of which load balancer.
    pub fn new(
        stack: &Stack,
        service: &str,
        (metric, target): (Metric, u32),
        (balancer, group): (Option<&LoadBalancerArn>, &TargetGroupArn),
        list: &Policies,
    ) -> Result<Self> {
        let label = match (metric, balancer) {
            (Metric::Cpu | Metric::Memory, _) => None,
            (Metric::Requests, Some(balancer)) => Some(label(balancer, group)),
            (Metric::Requests, None) => {
                return Err(Error::usage("the document's member `alb` has no load_balancer_arn")
                    .hint("requests_per_target counts the requests of that load balancer"));
            }
        };
        Ok(Self {
            name: metric.policy(service),
            resource: resource(stack, service),
            metric,
            target: f64::from(target),
            label,
            list: Rc::clone(list),
        })
    }

    async fn put(&self, api: &Autoscaling) -> Result<()> {
        let metric = PredefinedMetricSpecification::builder().predefined_metric_type(self.metric.r#type());
        let metric = ecs::built(metric.set_resource_label(self.label.clone()).build())?;
        let tracking = TargetTrackingScalingPolicyConfiguration::builder().target_value(self.target);
        let tracking = ecs::built(tracking.predefined_metric_specification(metric).build())?;
        let call = api.write.put_scaling_policy().service_namespace(ServiceNamespace::Ecs).policy_name(&self.name);
        let call = call.resource_id(&self.resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
        let call = call.policy_type(PolicyType::TargetTrackingScaling);
        let call = call.target_tracking_scaling_policy_configuration(tracking);
        call.send().await.answer("application-autoscaling:PutScalingPolicy")?;
        Ok(())
    }
}

impl Resource for ScalingPolicy {
    type Api = Autoscaling;
    type Live = Live;
    const KIND: &'static str = "scaling policy";
    /// It exists at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, _live: &Live) -> String {
        format!("{} of {}", self.name, self.resource)
    }

    fn planned(&self) -> Live {
        Live { metric: self.metric.r#type().as_str().to_owned(), target: self.target, label: self.label.clone() }
    }

    async fn find(&self, api: &Autoscaling) -> Result<Option<Live>> {
        let list = policies(api, &self.resource, &self.list).await?;
        Ok(list.iter().find(|policy| policy.policy_name() == self.name).map(live))
    }

    async fn create(&self, api: &Autoscaling) -> Result<Live> {
        self.put(api).await?;
        Ok(self.planned())
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let label = |label: &Option<String>| label.clone().unwrap_or_default();
        let changes = [
            Change::of("metric", &live.metric.as_str(), &self.metric.r#type().as_str()),
            Change::of("target", &live.target, &self.target),
            Change::of("resource label", &label(&live.label), &label(&self.label)),
        ];
        changes.into_iter().flatten().collect()
    }

    async fn update(&self, api: &Autoscaling, _live: &Live, _changes: &[Change]) -> Result<()> {
        self.put(api).await
    }

    /// Never called: a policy goes with its scalable target.
    async fn delete(&self, _api: &Autoscaling, _live: &Live) -> Result<()> {
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        // The service's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _api: &Autoscaling, _live: &Live) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.list.forget();
    }
}

fn live(policy: &Described) -> Live {
    let tracking = policy.target_tracking_scaling_policy_configuration();
    let metric = tracking.and_then(TargetTrackingScalingPolicyConfiguration::predefined_metric_specification);
    Live {
        metric: metric.map(|metric| metric.predefined_metric_type().as_str().to_owned()).unwrap_or_default(),
        target: tracking.map(TargetTrackingScalingPolicyConfiguration::target_value).unwrap_or_default(),
        label: metric.and_then(PredefinedMetricSpecification::resource_label).map(str::to_owned),
    }
}

/// Returns what the requests are counted of: the last parts of both ARNs, `app/NAME/ID/targetgroup/NAME/ID`
/// (<https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html>).
fn label(balancer: &LoadBalancerArn, group: &TargetGroupArn) -> String {
    let balancer = balancer.as_str().split_once(":loadbalancer/").map_or(balancer.as_str(), |(_, name)| name);
    let group = group.as_str().rsplit(':').next().unwrap_or_default();
    format!("{balancer}/{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_the_ends_of_both_arns() {
        let balancer = "arn:aws:elasticloadbalancing:r:1:loadbalancer/app/ecs-alb/778d41231b141a0f".into();
        let group = "arn:aws:elasticloadbalancing:r:1:targetgroup/web-tg/943f017f100becff".into();
        let wanted = "app/ecs-alb/778d41231b141a0f/targetgroup/web-tg/943f017f100becff";
        assert_eq!(label(&balancer, &group), wanted);
    }

    #[test]
    fn another_target_is_a_difference() {
        let group = TargetGroupArn::from("arn:tg");
        let new = |metric| ScalingPolicy::new(&Stack::default(), "web", metric, (None, &group), &Policies::default());
        let policy = new((Metric::Cpu, 70)).expect("needs no load balancer");
        assert_eq!(policy.diff(&policy.planned()), []);
        assert_eq!(policy.diff(&Live { target: 50.0, ..policy.planned() }), [Change::update("target", "50", "70")]);
        assert!(new((Metric::Requests, 100)).is_err());
    }
}
