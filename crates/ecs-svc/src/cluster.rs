//! The ECS cluster.

use std::time::Duration;

use aws_sdk_ecs::types::{
    CapacityProviderStrategyItem, Cluster as Described, ClusterField, ClusterSetting, ClusterSettingName,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::ClusterArn;
use ecs_core::stack::ContainerInsights;
use ecs_core::{Change, Error, Health, Identity, Kind, Owner, Resource, Result, Stack};

use crate::{Ecs, LAYER, ecs};

/// The capacity that Fargate offers; a service may then also ask for Spot.
const CAPACITY_PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

const CONTAINER_INSIGHTS: &str = "Container Insights";
const CAPACITY: &str = "capacity provider";

/// A cluster for Fargate tasks.
#[derive(Debug)]
pub struct Cluster {
    identity: Identity,
    container_insights: &'static str,
    /// Whether a service asks for capacity providers
    spot: bool,
}

/// What ECS says the cluster is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: ClusterArn,
    status: String,
    container_insights: String,
    providers: Vec<String>,
    strategy: Vec<CapacityProviderStrategyItem>,
    owner: Owner,
}

impl Cluster {
    /// Makes the stack's cluster.
    pub fn new(stack: &Stack) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, stack.cluster_name()),
            container_insights: match stack.cluster.container_insights {
                ContainerInsights::Disabled => "disabled",
                ContainerInsights::Enabled => "enabled",
                ContainerInsights::Enhanced => "enhanced",
            },
            spot: stack.services.values().any(|service| service.spot.is_some()),
        }
    }

    fn settings(&self) -> ClusterSetting {
        ClusterSetting::builder().name(ClusterSettingName::ContainerInsights).value(self.container_insights).build()
    }

    fn live(&self, cluster: &Described) -> Live {
        let insights = |setting: &&ClusterSetting| setting.name() == Some(&ClusterSettingName::ContainerInsights);
        let insights = cluster.settings().iter().find(insights).and_then(ClusterSetting::value);
        Live {
            arn: cluster.cluster_arn().unwrap_or_default().into(),
            status: cluster.status().unwrap_or_default().to_owned(),
            container_insights: insights.unwrap_or("disabled").to_owned(),
            providers: cluster.capacity_providers().to_vec(),
            strategy: cluster.default_capacity_provider_strategy().to_vec(),
            owner: ecs::owner(&self.identity, cluster.tags()),
        }
    }
}

impl Resource for Cluster {
    type Api = Ecs;
    type Live = Live;
    const KIND: &'static str = "cluster";
    /// terraform-provider-aws gives it 10 min, to be made and to be deleted.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const LINGERS: bool = true;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            arn: ClusterArn::planned(&self.identity.name),
            status: "ACTIVE".to_owned(),
            container_insights: self.container_insights.to_owned(),
            providers: CAPACITY_PROVIDERS.map(str::to_owned).to_vec(),
            strategy: Vec::new(),
            owner: Owner::Ours,
        }
    }

    /// Returns the cluster if it exists.
    ///
    /// `INACTIVE` counts as absent: ECS lists deleted clusters for a while. A missing one is a `MISSING` failure in a
    /// successful reply, not an error.
    async fn find(&self, ecs: &Ecs) -> Result<Option<Live>> {
        let call = ecs.read.describe_clusters().clusters(&self.identity.name);
        let call = call.include(ClusterField::Tags).include(ClusterField::Settings);
        let reply = call.send().await.answer("ecs:DescribeClusters")?;
        if let Some(failure) = reply.failures().iter().find(|failure| failure.reason() != Some("MISSING")) {
            let reason = failure.reason().unwrap_or("no reason");
            return Err(Error::other(format!("ECS cannot say what it is: {reason}")));
        }
        let cluster = reply.clusters().iter().find(|cluster| cluster.status() != Some("INACTIVE"));
        Ok(cluster.map(|cluster| self.live(cluster)))
    }

    /// Creates the cluster.
    ///
    /// The very first one of an account makes the service-linked role AWSServiceRoleForECS, which may not show at
    /// once: terraform-provider-aws tries again on the same message
    /// (<https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ecs/cluster.go>).
    async fn create(&self, ecs: &Ecs) -> Result<Live> {
        let call = ecs.write.create_cluster().cluster_name(&self.identity.name).settings(self.settings());
        let call = call.set_capacity_providers(Some(CAPACITY_PROVIDERS.map(str::to_owned).to_vec()));
        let reply = call.set_tags(Some(ecs::tags(&self.identity))).send().await.answer("ecs:CreateCluster");
        let reply = reply.map_err(|error| match error.code() {
            Some("InvalidParameterException") if error.message().contains("assume the service linked role") => {
                error.with_kind(Kind::NotYet)
            }
            _ => error,
        })?;
        Ok(self.live(&present(reply.cluster, "ecs:CreateCluster", "the cluster")?))
    }

    /// Compares; the capacity that a service asks for may be missing where somebody else has made the cluster.
    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = self.container_insights.to_owned();
        let insights = Change::of(CONTAINER_INSIGHTS, &live.container_insights, &wanted);
        let missing = CAPACITY_PROVIDERS.iter().filter(|_| self.spot);
        let missing = missing.filter(|provider| !live.providers.iter().any(|other| other == *provider));
        insights.into_iter().chain(missing.map(|provider| Change::update(CAPACITY, "", *provider))).collect()
    }

    async fn update(&self, ecs: &Ecs, live: &Live, changes: &[Change]) -> Result<()> {
        if changes.iter().any(|change| change.field == CONTAINER_INSIGHTS) {
            let call = ecs.write.update_cluster_settings().cluster(live.arn.as_str()).settings(self.settings());
            call.send().await.answer("ecs:UpdateClusterSettings")?;
        }
        let missing = changes.iter().filter(|change| change.field == CAPACITY).map(|change| change.to.clone());
        let missing: Vec<String> = missing.collect();
        if !missing.is_empty() {
            // The call replaces all that there is.
            let providers = live.providers.iter().cloned().chain(missing).collect();
            let call = ecs.write.put_cluster_capacity_providers().cluster(live.arn.as_str());
            let call = call.set_capacity_providers(Some(providers));
            let call = call.set_default_capacity_provider_strategy(Some(live.strategy.clone()));
            call.send().await.answer("ecs:PutClusterCapacityProviders")?;
        }
        Ok(())
    }

    async fn delete(&self, ecs: &Ecs, live: &Live) -> Result<()> {
        ecs.write.delete_cluster().cluster(live.arn.as_str()).send().await.answer("ecs:DeleteCluster")?;
        Ok(())
    }

    fn health(&self, live: &Live) -> Health {
        match live.status.as_str() {
            "ACTIVE" => Health::Ready,
            "FAILED" => Health::Failed("ECS could not make it: run `ecs-svc destroy`, then again".to_owned()),
            "DEPROVISIONING" => Health::Leaving("being deleted".to_owned()),
            status => Health::Pending(status.to_owned()),
        }
    }

    fn owner(&self, live: &Live) -> Owner {
        live.owner.clone()
    }

    async fn adopt(&self, ecs: &Ecs, live: &Live) -> Result<()> {
        ecs::adopt(ecs, live.arn.as_str(), &self.identity).await
    }
}

/// Checks a cluster that the stack file only names: it is used as it is, never changed and never deleted.
///
/// Services start with the launch type FARGATE in any cluster; those that ask for Fargate Spot need its capacity providers.
///
/// # Errors
/// When it is not there, not active, or lacks what a service asks for; when the stack's own cluster is still there.
pub async fn check_given(ecs: &Ecs, arn: &str, stack: &Stack) -> Result<()> {
    let call = ecs.read.describe_clusters().clusters(arn).clusters(stack.own_cluster_name());
    let reply = call.include(ClusterField::Tags).send().await.answer("ecs:DescribeClusters")?;
    let given = reply.clusters().iter().find(|cluster| cluster.cluster_arn() == Some(arn));
    let Some(cluster) = given.filter(|cluster| cluster.status() == Some("ACTIVE")) else {
        let state = given.and_then(Described::status).unwrap_or("not there");
        return Err(Error::usage(format!("the cluster {arn} of the stack file is {state}"))
            .hint("`aws ecs list-clusters` prints those that there are; without `arn` the stack makes one"));
    };
    check_own(reply.clusters(), arn, stack)?;
    let spot = stack.services.values().any(|service| service.spot.is_some());
    let lacks = |provider: &&&str| !cluster.capacity_providers().iter().any(|other| other == **provider);
    match CAPACITY_PROVIDERS.iter().filter(|_| spot).find(lacks) {
        Some(provider) => Err(Error::usage(format!("the cluster {arn} has no capacity provider {provider}")).hint(
            "a service has `spot`: leave that out, or have its owner run `aws ecs put-cluster-capacity-providers`",
        )),
        None => Ok(()),
    }
}

/// Refuses to leave the cluster that an earlier stack file has made: its services would run on, behind the same target
/// groups as those of the given one.
fn check_own(clusters: &[Described], given: &str, stack: &Stack) -> Result<()> {
    let name = stack.own_cluster_name();
    let identity = Identity::new(&stack.name, LAYER, &name);
    let ours = |cluster: &&Described| {
        let (named, status) = (cluster.cluster_name() == Some(name.as_str()), cluster.status());
        named && status == Some("ACTIVE") && ecs::owner(&identity, cluster.tags()) == Owner::Ours
    };
    match clusters.iter().find(ours) {
        None => Ok(()),
        Some(own) if own.cluster_arn() == Some(given) => {
            Err(Error::usage(format!("the cluster {given} of the stack file is the stack's own"))
                .hint("leave `cluster.arn` out: the stack keeps the cluster that it has made"))
        }
        Some(_) => {
            let message = format!(
                "the stack's own cluster {name} is still there, with its services behind the same target groups"
            );
            Err(Error::usage(message).hint(
                "run `ecs-svc destroy` with the stack file as it was, without `cluster.arn`, then this line again",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use ecs_core::stack::Spot;

    use super::*;

    #[test]
    fn a_cluster_without_settings_has_no_container_insights() {
        let cluster = Cluster::new(&Stack::default());
        let described = Described::builder().cluster_arn("arn:c").status("ACTIVE");
        let bare = cluster.live(&described.clone().build());
        assert_eq!(cluster.diff(&bare), []);
        let setting = ClusterSetting::builder().name(ClusterSettingName::ContainerInsights).value("enhanced").build();
        let enhanced = cluster.live(&described.settings(setting).build());
        assert_eq!(cluster.diff(&enhanced), [Change::update("Container Insights", "enhanced", "disabled")]);
    }

    #[test]
    fn the_stacks_own_cluster_is_not_left_behind() {
        let stack = Stack::default();
        let (own, given) = ("arn:aws:ecs:r:1:cluster/ecs-production-cluster", "arn:aws:ecs:r:1:cluster/theirs");
        let cluster = |status: &str, tags| {
            let cluster = Described::builder().cluster_arn(own).cluster_name("ecs-production-cluster").status(status);
            [cluster.set_tags(tags).build()]
        };
        let tags = || Some(ecs::tags(&Identity::new(&stack.name, LAYER, "ecs-production-cluster")));
        let check = |clusters: &[Described], given: &str| check_own(clusters, given, &stack).map_err(|e| e.render());
        let refused = check(&cluster("ACTIVE", tags()), given).expect_err("it is still there");
        assert!(
            refused.contains("ecs-production-cluster is still there") && refused.contains("ecs-svc destroy"),
            "{refused}"
        );
        let refused = check(&cluster("ACTIVE", tags()), own).expect_err("it is the stack's own");
        assert!(refused.contains("leave `cluster.arn` out"), "{refused}");
        assert_eq!(check(&cluster("INACTIVE", tags()), given), Ok(()));
        assert_eq!(check(&cluster("ACTIVE", None), given), Ok(()));
        assert_eq!(check(&[], given), Ok(()));
    }

    #[test]
    fn a_cluster_that_is_being_made_is_not_ready() {
        let cluster = Cluster::new(&Stack::default());
        let live = |status: &str| Live { status: status.to_owned(), ..cluster.planned() };
        assert_eq!(cluster.health(&live("ACTIVE")), Health::Ready);
        assert_eq!(cluster.health(&live("PROVISIONING")), Health::Pending("PROVISIONING".to_owned()));
        assert!(matches!(cluster.health(&live("FAILED")), Health::Failed(_)));
    }

    #[test]
    fn capacity_is_asked_for_where_a_service_runs_on_it() {
        let mut stack = Stack::default();
        let lines = |stack: &Stack| -> Vec<String> {
            let cluster = Cluster::new(stack);
            let live = Live { providers: vec!["FARGATE".to_owned(), "theirs".to_owned()], ..cluster.planned() };
            cluster.diff(&live).iter().map(ToString::to_string).collect()
        };
        assert_eq!(lines(&stack), [""; 0]);
        stack.services.values_mut().for_each(|service| service.spot = Some(Spot::default()));
        assert_eq!(lines(&stack), ["capacity provider: add FARGATE_SPOT"]);
    }
}
