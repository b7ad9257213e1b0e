//! What follows from a stack's values: names that the file leaves out, subnets, ports, how traffic is shifted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    Alarms, CheckCommand, GatewayService, Github, HealthCheck, Parameter, ParameterLayer, Service, Stack, Strategy,
};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a service's second target group is called after.
const ALTERNATE: &str = "-alt";
/// Longest name of a target group. Source: `CreateTargetGroup`, `Name`.
const TARGET_GROUP_NAME: usize = 32;
/// Hexadecimal digits that stand for what was cut off a name.
const HASH: usize = 6;

/// How ECS shifts traffic from one set of tasks to the next; times are in minutes.
///
/// The defaults are ECS's own (`CanaryConfiguration`, `LinearConfiguration`), but for the bake time of blue/green, which
/// ECS wants to be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shift {
    /// All of it at once
    BlueGreen {
        /// How long both sets of tasks then run
        bake: i32,
    },
    /// A part of it, then the rest
    Canary {
        /// The part, in per cent
        percent: f64,
        /// How long it stays at that
        bake: i32,
    },
    /// In equal steps
    Linear {
        /// Each step, in per cent
        percent: f64,
        /// Time between two steps
        every: i32,
        /// How long both sets of tasks run after the last
        bake: i32,
    },
}

impl Shift {
    /// Returns how long a deployment takes beside starting and stopping tasks.
    pub fn lasts(self) -> Duration {
        let minutes = match self {
            Shift::BlueGreen { bake } | Shift::Canary { bake, .. } => f64::from(bake),
            Shift::Linear { percent, every, bake } => {
                ((100.0 / percent).ceil() - 1.0).max(0.0) * f64::from(every) + f64::from(bake)
            }
        };
        Duration::from_secs_f64(minutes * 60.0)
    }
}

/// Returns a duration such as `10m` in minutes; none when it is none, or no whole number of minutes.
pub(super) fn minutes(text: &str) -> Option<i32> {
    let duration = humantime::parse_duration(text).ok()?;
    let whole = duration.as_secs().is_multiple_of(60) && duration.subsec_nanos() == 0;
    whole.then(|| i32::try_from(duration.as_secs() / 60).ok()).flatten()
}

/// One subnet as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetPlan {
    /// Name tag, `STACK-TIER-ZONE`
    pub name: String,
    /// Full name of the availability zone
    pub zone: String,
    /// IPv4 range; none for one that is only looked for
    pub cidr: Option<Ipv4Net>,
    /// Which of its zone's subnets it is
    pub tier: Tier,
}

/// Tells the subnets of a zone apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Routes to the internet gateway
    Public,
    /// Routes to a NAT gateway, if to anything
    Private,
    /// Routes nowhere
    Database,
}

impl Tier {
    /// All tiers, in the order of their ranges.
    pub const ALL: [Self; 3] = [Self::Public, Self::Private, Self::Database];

    /// Returns its name, as it stands in the names of subnets and route tables and in the stack file's keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Database => "database",
        }
    }
}

/// Returns the full name of the service of an endpoint: `com.amazonaws.us-east-1.ecr.api` for `ecr.api`.
pub fn endpoint_service(service: &str, region: &str) -> String {
    let full = ["com.amazonaws.", "cn.com.amazonaws.", "aws."].iter().any(|start| service.starts_with(start));
    if full { service.to_owned() } else { format!("com.amazonaws.{region}.{service}") }
}

/// Returns the partition of AWS that a region belongs to, as ARNs name it.
pub fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// A repository of ECR, as an image's reference names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrRepository {
    /// Account of the registry
    pub account: String,
    /// Region of the registry
    pub region: String,
    /// Name
    pub name: String,
}

impl EcrRepository {
    /// Returns its ARN.
    pub fn arn(&self, partition: &str) -> String {
        format!("arn:{partition}:ecr:{}:{}:repository/{}", self.region, self.account, self.name)
    }
}

/// Returns the private repository of ECR that an image is in, if it is in one:
/// `123456789012.dkr.ecr.us-east-1.amazonaws.com/team/web:1`.
pub fn ecr_repository(image: &str) -> Option<EcrRepository> {
    let (registry, path) = image.split_once('/')?;
    let (account, rest) = registry.split_once(".dkr.ecr.")?;
    let region = rest.strip_suffix(".cn").unwrap_or(rest).strip_suffix(".amazonaws.com")?;
    let name = path.split('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let twelve = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let repository = EcrRepository { account: account.to_owned(), region: region.to_owned(), name: name.to_owned() };
    (twelve && !name.is_empty()).then_some(repository)
}

impl Stack {
    /// Returns the VPC's name.
    pub fn vpc_name(&self) -> String {
        self.net.vpc_name.clone().unwrap_or_else(|| format!("{}-vpc", self.name))
    }

    /// Returns the cluster's name.
    pub fn cluster_name(&self) -> String {
        let given = self.cluster.arn.as_ref().and_then(|arn| Some(arn.split_once(":cluster/")?.1.to_owned()));
        given.unwrap_or_else(|| self.own_cluster_name())
    }

    /// Returns the name of the cluster that the stack makes, or has made before the file gave another.
    pub fn own_cluster_name(&self) -> String {
        self.cluster.name.clone().unwrap_or_else(|| format!("{}-cluster", self.name))
    }

    /// Returns the full names of the zones, as far as the file names them: a letter is a zone of the stack's region.
    pub fn zones(&self, region: &str) -> Vec<String> {
        self.net
            .zones
            .named()
            .iter()
            .map(|zone| if zone.len() == 1 { format!("{region}{zone}") } else { zone.clone() })
            .collect()
    }

    /// Returns the subnets, one tier after the other, each in the order of the zones.
    pub fn subnets(&self, region: &str) -> Vec<SubnetPlan> {
        let zones = self.zones(region);
        Tier::ALL
            .into_iter()
            .zip(self.net.cidrs())
            .flat_map(|(tier, cidrs)| {
                zones.iter().zip(cidrs).map(move |(zone, cidr)| SubnetPlan {
                    name: self.subnet_name(tier, zone),
                    zone: zone.clone(),
                    cidr: Some(cidr),
                    tier,
                })
            })
            .collect()
    }

    /// Returns the name of a zone's subnet.
    pub fn subnet_name(&self, tier: Tier, zone: &str) -> String {
        format!("{}-{}-{zone}", self.name, tier.name())
    }

    /// Returns the distinct container ports, in ascending order.
    pub fn service_ports(&self) -> Vec<u16> {
        let ports: BTreeSet<u16> = self.services.values().map(|service| service.port).collect();
        ports.into_iter().collect()
    }

    /// Returns the port that the load balancer serves on: 443 when it has a certificate, else 80.
    pub fn alb_port(&self) -> u16 {
        if self.alb.serves_https() { 443 } else { 80 }
    }

    /// Returns the distinct container ports that tasks reach one another on, in ascending order.
    pub fn connect_ports(&self) -> Vec<u16> {
        let named = |service: &&Service| service.connect.as_ref().is_some_and(|connect| connect.name.is_some());
        let ports: BTreeSet<u16> = self.services.values().filter(named).map(|service| service.port).collect();
        ports.into_iter().collect()
    }

    /// Returns the parameters that one layer writes, by name.
    pub fn parameters_of(&self, layer: ParameterLayer) -> impl Iterator<Item = (&str, &Parameter)> {
        self.parameters.iter().filter(move |(_, p)| p.layer() == layer).map(|(name, p)| (name.as_str(), p))
    }

    /// Returns the service that takes what no other one's host and path match.
    pub fn default_service(&self) -> Option<(&str, &Service)> {
        self.services.iter().find(|(_, service)| !service.is_routed()).map(|(key, service)| (key.as_str(), service))
    }

    /// Returns the name of the group of the stack's schedules.
    pub fn schedule_group(&self) -> &str {
        &self.name
    }

    /// Says whether ECS shifts the traffic of any service.
    pub fn shifts(&self) -> bool {
        self.services.values().any(|service| service.shift().is_some())
    }

    /// Returns the name of the role with which CI deploys, if there is to be one: for GitHub Actions, for a user, or both.
    pub fn deploy_role(&self) -> Option<String> {
        let github = self.iam.github.as_ref();
        let given = github.and_then(|github| github.role.clone());
        let wanted = github.is_some() || self.iam.ci_user.is_some();
        wanted.then(|| given.unwrap_or_else(|| self.usual_deploy_role()))
    }

    /// Returns the name of the user with whose access keys CI deploys, if there is to be one.
    pub fn ci_user(&self) -> Option<String> {
        let user = self.iam.ci_user.as_ref()?;
        Some(user.name.clone().unwrap_or_else(|| format!("{}-ci", self.name)))
    }

    /// Returns the name that such a role has where the file gives none.
    pub fn usual_deploy_role(&self) -> String {
        format!("{}-deploy", self.name)
    }

    /// Returns the services that tasks cannot start without, as interface endpoints where there is no other way out; each
    /// with what it is for.
    ///
    /// Beside these they need the gateway endpoint of S3, where ECR keeps the layers of images:
    /// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html>
    pub fn needed_endpoints(&self) -> Vec<(&'static str, &'static str)> {
        let images = "to pull images";
        let mut needed = vec![("ecr.api", images), ("ecr.dkr", images), ("logs", "to write logs")];
        let sources = || self.services.values().flat_map(Service::secret_sources);
        let secret = |source: &String| source.starts_with("${db.secret_arn}") || source.contains(":secretsmanager:");
        if sources().any(|source| !secret(source)) {
            needed.push(("ssm", "to read parameters"));
        }
        if sources().any(secret) {
            needed.push(("secretsmanager", "to read secrets"));
        }
        needed
    }

    /// Returns the services that the private subnets reach by network interfaces: those that the file lists, or without a
    /// NAT gateway those that the stack uses.
    pub fn interface_endpoints(&self) -> Vec<String> {
        if !self.net.derives_endpoints() {
            return self.net.interface_endpoints.clone();
        }
        let mut used: Vec<&str> = self.needed_endpoints().into_iter().map(|(service, _)| service).collect();
        // ECS Exec: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html>
        if self.services.values().any(|service| service.exec == Some(true)) {
            used.push("ssmmessages");
        }
        used.into_iter().map(str::to_owned).collect()
    }

    /// Returns the services that the private and the database subnets reach by routes, likewise.
    pub fn gateway_endpoints(&self) -> Vec<GatewayService> {
        if !self.net.derives_endpoints() {
            return self.net.gateway_endpoints.clone();
        }
        let tables = if self.tables.is_empty() { None } else { Some(GatewayService::DynamoDb) };
        std::iter::once(GatewayService::S3).chain(tables).collect()
    }

    /// Says whether a service reads something that only exists once the database does.
    pub fn needs_database(&self, service: &Service) -> bool {
        service.secret_sources().any(|source| {
            source.contains("${db.")
                || self.parameters.get(source).is_some_and(|parameter| parameter.template().contains("${db."))
        })
    }
}

impl Github {
    /// Returns the subject of the tokens of the workflows that may deploy.
    ///
    /// A colon in an environment's name is written `%3A` there:
    /// <https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims>
    pub fn subject(&self) -> String {
        let repository = &self.repository;
        match &self.environment {
            Some(environment) => format!("repo:{repository}:environment:{}", environment.replace(':', "%3A")),
            None => format!("repo:{repository}:ref:refs/heads/{}", self.branch.as_deref().unwrap_or("main")),
        }
    }
}

impl Service {
    /// Returns the ECS service's name.
    pub fn service_name(&self, key: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{key}-service"))
    }

    /// Says whether it has a host or a path of its own.
    pub fn is_routed(&self) -> bool {
        self.host.is_some() || self.path.is_some()
    }

    /// Returns its host names, in lower case: the load balancer compares them without case.
    pub fn hosts(&self) -> Vec<String> {
        self.host.iter().flat_map(|host| host.all()).map(|host| host.to_lowercase()).collect()
    }

    /// Returns its path patterns.
    pub fn paths(&self) -> &[String] {
        self.path.as_ref().map(|path| path.all()).unwrap_or_default()
    }

    /// Returns the task definition family.
    pub fn family(&self, key: &str) -> String {
        self.family.clone().unwrap_or_else(|| format!("{key}-task"))
    }

    /// Returns the container's name.
    pub fn container(&self, key: &str) -> String {
        self.container.clone().unwrap_or_else(|| key.to_owned())
    }

    /// Returns the ECR repository's name; none where the image is given in full, and no repository beside it for later ones.
    pub fn repository(&self, key: &str) -> Option<String> {
        if self.image.is_some() && self.repository.is_none() {
            return None;
        }
        Some(self.repository.clone().unwrap_or_else(|| format!("{key}-repo")))
    }

    /// Returns the target group's name.
    pub fn target_group(&self, key: &str) -> String {
        self.target_group.clone().unwrap_or_else(|| format!("{key}-tg"))
    }

    /// Returns the name of the second target group, which a service has whose traffic ECS shifts.
    ///
    /// It is the first one's and `-alt`; what would be too long is cut, and a hash of the whole stands for the rest.
    pub fn alternate_target_group(&self, key: &str) -> String {
        let name = self.target_group(key);
        if name.len() + ALTERNATE.len() <= TARGET_GROUP_NAME {
            return format!("{name}{ALTERNATE}");
        }
        let hash: String =
            Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).take(HASH / 2).collect();
        let kept: String = name.chars().take(TARGET_GROUP_NAME - ALTERNATE.len() - HASH - 1).collect();
        format!("{}-{hash}{ALTERNATE}", kept.trim_end_matches('-'))
    }

    /// Returns where the secrets of all its containers come from.
    pub fn secret_sources(&self) -> impl Iterator<Item = &String> {
        self.secrets.values().chain(self.sidecars.values().flat_map(|sidecar| sidecar.secrets.values()))
    }

    /// Returns how ECS shifts the service's traffic; none where it replaces task by task.
    pub fn shift(&self) -> Option<Shift> {
        let deployment = self.deployment.as_ref()?;
        let time = |given: &Option<String>, usual: i32| given.as_deref().map_or(Some(usual), minutes).unwrap_or(usual);
        match deployment.strategy {
            Strategy::Rolling => None,
            Strategy::BlueGreen => Some(Shift::BlueGreen { bake: time(&deployment.bake, 10) }),
            Strategy::Canary => {
                Some(Shift::Canary { percent: deployment.percent.unwrap_or(5.0), bake: time(&deployment.bake, 10) })
            }
            Strategy::Linear => Some(Shift::Linear {
                percent: deployment.percent.unwrap_or(10.0),
                every: time(&deployment.every, 6),
                bake: time(&deployment.bake, 0),
            }),
        }
    }

    /// Returns the alarms that roll a deployment back; none where the file asks for none.
    ///
    /// A deployment that shifts traffic has them unless told otherwise: the circuit breaker does not watch over it.
    pub fn rollback_alarms(&self) -> Option<Alarms> {
        let given = self.deployment.as_ref()?.alarms.clone();
        given.or_else(|| self.shift().map(|_| Alarms::default()))
    }

    /// Returns the task role's name.
    pub fn task_role(&self, key: &str) -> String {
        self.task_role.clone().unwrap_or_else(|| format!("{key}TaskRole"))
    }

    /// Returns the log group's name.
    pub fn log_group(&self, key: &str) -> String {
        self.log_group.clone().unwrap_or_else(|| format!("/ecs/{key}"))
    }
}

impl HealthCheck {
    /// Returns the command as ECS takes it.
    pub fn words(&self) -> Vec<String> {
        match &self.command {
            CheckCommand::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
            CheckCommand::Words(words) => words.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Deployment;
    use super::*;

    fn service(strategy: Strategy) -> Service {
        Service { deployment: Some(Deployment { strategy, ..Deployment::default() }), ..Service::default() }
    }

    #[test]
    fn an_image_tells_its_repository() {
        let repository = |name: &str| {
            let (account, region) = ("123456789012".to_owned(), "us-east-1".to_owned());
            Some(EcrRepository { account, region, name: name.to_owned() })
        };
        let registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
        let cases = [
            (format!("{registry}/web:1"), repository("web")),
            (format!("{registry}/team/web@sha256:ab"), repository("team/web")),
            (format!("{registry}/web"), repository("web")),
            ("public.ecr.aws/nginx/nginx:1".to_owned(), None),
            ("nginx".to_owned(), None),
            (format!("{registry}/"), None),
        ];
        for (image, wanted) in cases {
            assert_eq!(ecr_repository(&image), wanted, "{image}");
        }
    }

    #[test]
    fn the_second_target_group_is_named_after_the_first_and_never_too_long() {
        let named = |name: &str| Service { target_group: Some(name.to_owned()), ..Service::default() };
        assert_eq!(Service::default().alternate_target_group("frontend"), "frontend-tg-alt");
        let [one, other] = ["a", "b"].map(|end| named(&format!("{}{end}", "x".repeat(31))).alternate_target_group("k"));
        assert_eq!(one.len(), 32);
        assert!(one.starts_with("xxxxxxxxxxxxxxxxxxxxx-") && one.ends_with("-alt"), "{one}");
        assert_ne!(one, other);
        assert_eq!(named(&"x".repeat(28)).alternate_target_group("k"), format!("{}-alt", "x".repeat(28)));
    }

    #[test]
    fn a_strategy_has_ecs_own_defaults() {
        assert_eq!(service(Strategy::Rolling).shift(), None);
        assert_eq!(service(Strategy::BlueGreen).shift(), Some(Shift::BlueGreen { bake: 10 }));
        assert_eq!(service(Strategy::Canary).shift(), Some(Shift::Canary { percent: 5.0, bake: 10 }));
        assert_eq!(service(Strategy::Linear).shift(), Some(Shift::Linear { percent: 10.0, every: 6, bake: 0 }));
    }

    #[test]
    fn a_deployment_lasts_as_long_as_its_steps() {
        let cases = [
            (Shift::BlueGreen { bake: 5 }, 5),
            (Shift::Canary { percent: 25.0, bake: 10 }, 10),
            (Shift::Linear { percent: 10.0, every: 6, bake: 2 }, 56),
            (Shift::Linear { percent: 100.0, every: 6, bake: 0 }, 0),
            (Shift::Linear { percent: 33.3, every: 1, bake: 0 }, 3),
        ];
        for (shift, minutes) in cases {
            assert_eq!(shift.lasts(), Duration::from_secs(minutes * 60), "{shift:?}");
        }
    }

    #[test]
    fn alarms_are_on_where_traffic_is_shifted_and_else_where_the_file_has_them() {
        assert_eq!(Service::default().rollback_alarms(), None);
        assert_eq!(service(Strategy::Rolling).rollback_alarms(), None);
        assert_eq!(service(Strategy::Canary).rollback_alarms(), Some(Alarms::default()));
        let mut rolling = service(Strategy::Rolling);
        let alarms = Alarms { errors_5xx: 3, ..Alarms::default() };
        rolling.deployment.as_mut().unwrap().alarms = Some(alarms.clone());
        assert_eq!(rolling.rollback_alarms(), Some(alarms));
    }

    #[test]
    fn a_time_is_a_whole_number_of_minutes() {
        let cases = [("10m", Some(10)), ("1h 30m", Some(90)), ("0s", Some(0)), ("90s", None), ("10", None), ("", None)];
        for (text, wanted) in cases {
            assert_eq!(minutes(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_subject_of_a_token_is_a_branch_or_an_environment() {
        let github = |branch: Option<&str>, environment: Option<&str>| Github {
            repository: "org/repo".to_owned(),
            branch: branch.map(str::to_owned),
            environment: environment.map(str::to_owned),
            role: None,
        };
        assert_eq!(github(None, None).subject(), "repo:org/repo:ref:refs/heads/main");
        assert_eq!(github(Some("release/1"), None).subject(), "repo:org/repo:ref:refs/heads/release/1");
        assert_eq!(github(None, Some("prod:eu")).subject(), "repo:org/repo:environment:prod%3Aeu");
    }
}
