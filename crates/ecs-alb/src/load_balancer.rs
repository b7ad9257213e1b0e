//! The application load balancer.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{
    IpAddressType, LoadBalancer as Described, LoadBalancerSchemeEnum, LoadBalancerStateEnum, LoadBalancerTypeEnum, Tag,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{LoadBalancerArn, VpcId};
use ecs_core::member::{Member as _, Net, Sg};
use ecs_core::resource::Means;
use ecs_core::{Change, Error, Health, Identity, Kind, Owner, Resource, Result, Stack};

use crate::alias_tag::{AliasTag, Tags};
use crate::elb::{self, Listings};
use crate::{Elb, LAYER};

/// What differs, as [`Change::field`].
const SUBNETS: &str = "subnets";
const SECURITY_GROUP: &str = "security group";
const IP_ADDRESS_TYPE: &str = "IP address type";
const ALIAS_TAG: &str = "tag for the alias";

/// An internet-facing application load balancer for IPv4.
#[derive(Debug)]
pub struct LoadBalancer {
    identity: Identity,
    vpc: VpcId,
    vpc_is_new: bool,
    subnets: BTreeSet<String>,
    security_group: String,
    listings: Rc<Listings>,
    /// The alias that is to lead to it
    alias: Option<AliasTag>,
    reads_tags: bool,
    /// Its tags, once they are read: they need not be when its state is
    tags: RefCell<Option<Tags>>,
}

/// What ELB says the load balancer is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: LoadBalancerArn,
    /// Its DNS name, known from the create call on
    pub dns_name: String,
    /// The hosted zone of ELB that holds that name
    pub zone: String,
    vpc: VpcId,
    subnets: BTreeSet<String>,
    security_groups: BTreeSet<String>,
    scheme: String,
    kind: String,
    ip_address_type: String,
    state: LoadBalancerStateEnum,
    reason: String,
    tags: Tags,
}

impl LoadBalancer {
    /// Makes the stack's load balancer, in the public subnets.
    pub fn new(stack: &Stack, net: &Net, sg: &Sg, listings: &Rc<Listings>) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, &stack.alb.name),
            vpc: net.vpc_id.clone(),
            vpc_is_new: net.new,
            subnets: net.public_subnet_ids.iter().map(|id| id.as_str().to_owned()).collect(),
            security_group: sg.alb_security_group_id.as_str().to_owned(),
            listings: Rc::clone(listings),
            alias: None,
            reads_tags: false,
            tags: RefCell::default(),
        }
    }

    /// Makes it bear the tag of an alias; `reads` says whether its tags are of interest without one too.
    #[must_use]
    pub fn tagged(self, alias: Option<AliasTag>, reads: bool) -> Self {
        Self { reads_tags: reads || alias.is_some(), alias, ..self }
    }

    /// Reads its tags; none where it has gone.
    async fn read_tags(&self, elb: &Elb, arn: &str) -> Result<Option<Tags>> {
        let known = self.tags.borrow().clone();
        if known.is_some() {
            return Ok(known);
        }
        let Some(tags) = elb::read_tags(elb, arn).await? else { return Ok(None) };
        let owner = self.identity.owner(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let aliases = tags.iter().filter_map(|(key, value)| AliasTag::read(key, value)).collect();
        self.tags.replace(Some(Tags { owner, aliases }));
        Ok(self.tags.borrow().clone())
    }

    /// Makes one that the stack has made under a name that its file no longer gives: only to be looked for.
    pub fn former(stack: &Stack, name: &str, listings: &Rc<Listings>) -> Self {
        let identity = Identity::new(&stack.name, LAYER, name);
        Self { identity, ..Self::new(stack, &Net::unknown(), &Sg::unknown(), listings) }
    }

    /// Says what an error of a create call means.
    fn explain(&self, error: Error) -> Error {
        match error.code() {
            // The gateway was attached a moment ago, and ELB looks for it before EC2 shows it:
            // <https://github.com/hashicorp/terraform/issues/1283>, <https://github.com/openshift/installer/issues/1110>
            Some("InvalidSubnet") if error.message().contains("has no internet gateway") => {
                let kind = if self.vpc_is_new { Kind::NotYet } else { Kind::Other };
                error.with_kind(kind).hint("attach an internet gateway to the VPC, and route the public subnets to it")
            }
            // Its text is "The specified security group does not exist": a group that is new, or none.
            Some("InvalidSecurityGroup") => error.with_kind(Kind::NotFound),
            _ => error,
        }
    }
}

impl Live {
    /// Says why somebody else's cannot be used for tasks in a VPC; none where it can.
    pub fn unusable(&self, vpc: &VpcId) -> Option<String> {
        if self.kind != LoadBalancerTypeEnum::Application.as_str() {
            return Some(format!("it is a {} load balancer", self.kind));
        }
        if self.vpc != *vpc {
            return Some(format!("it is in {}, the stack in {vpc}", self.vpc));
        }
        match self.state {
            LoadBalancerStateEnum::Active | LoadBalancerStateEnum::ActiveImpaired => None,
            ref state @ (LoadBalancerStateEnum::Provisioning | LoadBalancerStateEnum::Failed | _) => {
                Some(format!("it is {}", state.as_str()))
            }
        }
    }

    /// Returns the aliases that its tags tell of, if it is the stack's and they were read.
    pub fn aliases(&self) -> &[AliasTag] {
        if self.tags.owner == Owner::Ours { &self.tags.aliases } else { &[] }
    }

    /// Says whether it has a security group.
    pub fn has_group(&self, group: &str) -> bool {
        self.security_groups.contains(group)
    }

    /// Returns what works less well than it should: ELB's reason.
    pub fn impaired(&self) -> Option<&str> {
        (self.state == LoadBalancerStateEnum::ActiveImpaired).then_some(self.reason.as_str())
    }
}

impl Resource for LoadBalancer {
    type Api = Elb;
    type Live = Live;
    const KIND: &'static str = "load balancer";
    /// The SDK's waiter `LoadBalancerAvailable` gives it 40 × 15 s.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const USUAL: &'static str = "2 to 3 min";

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            arn: LoadBalancerArn::planned(&self.identity.name),
            dns_name: ecs_core::id::planned("DNS name", &self.identity.name),
            zone: ecs_core::id::planned("hosted zone", &self.identity.name),
            vpc: self.vpc.clone(),
            subnets: self.subnets.clone(),
            security_groups: BTreeSet::from([self.security_group.clone()]),
            scheme: LoadBalancerSchemeEnum::InternetFacing.as_str().to_owned(),
            kind: LoadBalancerTypeEnum::Application.as_str().to_owned(),
            ip_address_type: IpAddressType::Ipv4.as_str().to_owned(),
            state: LoadBalancerStateEnum::Provisioning,
            reason: String::new(),
            tags: Tags { owner: Owner::Ours, aliases: self.alias.iter().cloned().collect() },
        }
    }

    async fn find(&self, elb: &Elb) -> Result<Option<Live>> {
        let list = self.listings.load_balancers(elb).await?;
        let Some(live) = named(&list, &self.identity.name).map(live) else { return Ok(None) };
        if !self.reads_tags {
            return Ok(Some(live));
        }
        Ok(self.read_tags(elb, live.arn.as_str()).await?.map(|tags| Live { tags, ..live }))
    }

    async fn create(&self, elb: &Elb) -> Result<Live> {
        let call = elb.write.create_load_balancer().name(&self.identity.name).set_tags(elb::tags(&self.identity));
        let alias = self.alias.as_ref().map(|alias| Tag::builder().key(&alias.key).value(alias.value()).build());
        let call = alias.into_iter().fold(call, |call, tag| call.tags(tag));
        let call = call.r#type(LoadBalancerTypeEnum::Application).scheme(LoadBalancerSchemeEnum::InternetFacing);
        let call = call.ip_address_type(IpAddressType::Ipv4).set_subnets(Some(self.subnets.iter().cloned().collect()));
        let reply = call.security_groups(&self.security_group).send().await;
        let reply = reply.answer("elasticloadbalancing:CreateLoadBalancer").map_err(|error| self.explain(error))?;
        let made = reply.load_balancers.unwrap_or_default().into_iter().next();
        let made = live(&present(made, "elasticloadbalancing:CreateLoadBalancer", "the load balancer")?);
        let tags = self.planned().tags;
        self.tags.replace(Some(tags.clone()));
        Ok(Live { tags, ..made })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = self.planned();
        let fixed = [
            Change::of("type", &live.kind, &wanted.kind),
            Change::of("scheme", &live.scheme, &wanted.scheme),
            Change::of("VPC", &live.vpc, &wanted.vpc),
        ];
        let hint = "a load balancer keeps its type, scheme and VPC: give `alb.name` another name, or destroy it first";
        let fixed: Vec<_> = fixed.into_iter().flatten().map(|change| change.refused(hint)).collect();
        // Its subnets differ with its VPC, and say nothing more.
        if !fixed.is_empty() {
            return fixed;
        }
        let missing = !live.security_groups.contains(&self.security_group);
        let others = live.security_groups.iter().filter(|group| **group != self.security_group);
        let untagged = self.alias.as_ref().filter(|alias| !live.tags.aliases.contains(alias));
        let listed = |subnets: &BTreeSet<String>| subnets.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        [
            Change::of(SUBNETS, &listed(&live.subnets), &listed(&wanted.subnets)),
            missing.then(|| Change::update(SECURITY_GROUP, "", &self.security_group)),
            Change::of(IP_ADDRESS_TYPE, &live.ip_address_type, &wanted.ip_address_type),
            untagged.map(|alias| Change::update(ALIAS_TAG, "", alias.to_string())),
        ]
        .into_iter()
        .flatten()
        .chain(others.map(|group| Change::foreign(SECURITY_GROUP, group)))
        .collect()
    }

    async fn update(&self, elb: &Elb, live: &Live, changes: &[Change]) -> Result<()> {
        let arn = live.arn.as_str();
        let touches = |field: &str| changes.iter().any(|change| change.field == field);
        if touches(SUBNETS) {
            let call = elb.write.set_subnets().load_balancer_arn(arn);
            let reply = call.set_subnets(Some(self.subnets.iter().cloned().collect())).send().await;
            reply.answer("elasticloadbalancing:SetSubnets").map_err(|error| self.explain(error))?;
        }
        if touches(SECURITY_GROUP) {
            let call = elb.write.set_security_groups().load_balancer_arn(arn);
            let groups = security_groups(&live.security_groups, &self.security_group, changes);
            let reply = call.set_security_groups(Some(groups)).send().await;
            reply.answer("elasticloadbalancing:SetSecurityGroups").map_err(|error| self.explain(error))?;
        }
        if touches(IP_ADDRESS_TYPE) {
            let call = elb.write.set_ip_address_type().load_balancer_arn(arn).ip_address_type(IpAddressType::Ipv4);
            call.send().await.answer("elasticloadbalancing:SetIpAddressType")?;
        }
        if let Some(alias) = self.alias.as_ref().filter(|_| touches(ALIAS_TAG)) {
            self.tags.replace(None);
            elb::add_tag(elb, arn, &alias.key, &alias.value()).await?;
        }
        Ok(())
    }

    /// Deletes it, and with it its listeners and their rules:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html>
    ///
    /// Its network interfaces stay for minutes; they hold up security group and subnets, whose own deletion waits for it.
    async fn delete(&self, elb: &Elb, live: &Live) -> Result<()> {
        delete(elb, live.arn.as_str()).await
    }

    fn health(&self, live: &Live) -> Health {
        match live.state {
            LoadBalancerStateEnum::Active | LoadBalancerStateEnum::ActiveImpaired => Health::Ready,
            LoadBalancerStateEnum::Failed => Health::Failed(format!(
                "it could not be set up: {}; run `ecs-alb destroy`, then ecs-alb again",
                if live.reason.is_empty() { "AWS gives no reason" } else { &live.reason }
            )),
            // Or a state that ELB has since learnt.
            ref state @ (LoadBalancerStateEnum::Provisioning | _) => Health::Pending(state.as_str().to_owned()),
        }
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, elb: &Elb, live: &Live) -> Result<Owner> {
        match &live.tags.owner {
            Owner::Unread => elb::read_owner(elb, live.arn.as_str(), &self.identity).await,
            owner @ (Owner::Ours | Owner::Stack(_) | Owner::Nobody) => Ok(owner.clone()),
        }
    }

    async fn adopt(&self, elb: &Elb, live: &Live) -> Result<()> {
        self.tags.replace(None);
        elb::adopt(elb, live.arn.as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.listings.forget_load_balancers();
    }
}

/// Deletes a load balancer, with its listeners and their rules.
pub async fn delete(elb: &Elb, arn: &str) -> Result<()> {
    let deleted = elb.write.delete_load_balancer().load_balancer_arn(arn).send().await;
    match deleted.answer("elasticloadbalancing:DeleteLoadBalancer") {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("OperationNotPermitted") => {
            Err(error.hint("switch its deletion protection off first"))
        }
        Err(error) => Err(error),
    }
}

/// Returns the load balancer of the stack: the one that the file names, else the one of its name, unique in a region.
pub fn of<'l>(list: &'l [Described], stack: &Stack) -> Option<&'l Described> {
    match &stack.alb.load_balancer_arn {
        Some(arn) => list.iter().find(|balancer| balancer.load_balancer_arn() == Some(arn)),
        None => named(list, &stack.alb.name),
    }
}

/// Returns the load balancer of a name: names are unique in a region.
pub fn named<'l>(list: &'l [Described], name: &str) -> Option<&'l Described> {
    list.iter().find(|balancer| balancer.load_balancer_name() == Some(name))
}

/// Returns what ELB says of a load balancer.
pub fn live(described: &Described) -> Live {
    let zones = described.availability_zones().iter();
    let state = described.state();
    Live {
        arn: described.load_balancer_arn().unwrap_or_default().into(),
        dns_name: described.dns_name().unwrap_or_default().to_owned(),
        zone: described.canonical_hosted_zone_id().unwrap_or_default().to_owned(),
        vpc: described.vpc_id().unwrap_or_default().into(),
        subnets: zones.filter_map(|zone| zone.subnet_id()).map(str::to_owned).collect(),
        security_groups: described.security_groups().iter().cloned().collect(),
        scheme: described.scheme().map(|scheme| scheme.as_str().to_owned()).unwrap_or_default(),
        kind: described.r#type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        ip_address_type: described.ip_address_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        state: state.and_then(|state| state.code()).cloned().unwrap_or(LoadBalancerStateEnum::Provisioning),
        reason: state.and_then(|state| state.reason()).unwrap_or_default().to_owned(),
        tags: Tags { owner: Owner::Unread, aliases: Vec::new() },
    }
}

/// Returns the security groups as they are to be: those that it has, and ours, without those that are to be removed.
fn security_groups(present: &BTreeSet<String>, ours: &str, changes: &[Change]) -> Vec<String> {
    let removed = |group: &String| {
        changes
            .iter()
            .any(|change| change.means == Means::Foreign && change.field == SECURITY_GROUP && change.from == **group)
    };
    let kept = present.iter().filter(|group| *group != ours && !removed(group));
    std::iter::once(ours.to_owned()).chain(kept.cloned()).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{AvailabilityZone, LoadBalancerState};

    use super::*;

    fn wanted() -> LoadBalancer {
        let net = Net {
            vpc_id: "vpc-1".into(),
            public_subnet_ids: vec!["subnet-b".into(), "subnet-a".into()],
            ..Net::unknown()
        };
        let sg = Sg { alb_security_group_id: "sg-1".into(), ..Sg::unknown() };
        LoadBalancer::new(&Stack::default(), &net, &sg, &Rc::default())
    }

    /// A reply as in the example of DescribeLoadBalancers:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html>
    fn described(subnets: &[&str], groups: &[&str], state: LoadBalancerStateEnum) -> Described {
        let zone = |subnet: &&str| AvailabilityZone::builder().subnet_id(*subnet).build();
        Described::builder()
            .load_balancer_arn("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/ecs-alb/50dc")
            .load_balancer_name("ecs-alb")
            .dns_name("ecs-alb-425835106.us-east-1.elb.amazonaws.com")
            .vpc_id("vpc-1")
            .scheme(LoadBalancerSchemeEnum::InternetFacing)
            .r#type(LoadBalancerTypeEnum::Application)
            .ip_address_type(IpAddressType::Ipv4)
            .set_availability_zones(Some(subnets.iter().map(zone).collect()))
            .set_security_groups(Some(groups.iter().map(|group| (*group).to_owned()).collect()))
            .state(LoadBalancerState::builder().code(state).reason("why").build())
            .build()
    }

    fn changes(live: &Live) -> Vec<String> {
        wanted().diff(live).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn diff_finds_what_differs_in_any_order() {
        let active = LoadBalancerStateEnum::Active;
        let cases: [(&[&str], &[&str], &[&str]); 4] = [
            (&["subnet-a", "subnet-b"], &["sg-1"], &[]),
            (&["subnet-c", "subnet-a"], &["sg-1"], &["subnets: subnet-a subnet-c -> subnet-a subnet-b"]),
            (&["subnet-a", "subnet-b"], &["sg-2", "sg-1"], &["security group: remove sg-2"]),
            (&["subnet-b", "subnet-a"], &["sg-2"], &["security group: add sg-1", "security group: remove sg-2"]),
        ];
        for (subnets, groups, expected) in cases {
            assert_eq!(changes(&live(&described(subnets, groups, active.clone()))), expected);
        }
    }

    #[test]
    fn what_never_changes_is_refused_alone() {
        let base = live(&described(&["subnet-x", "subnet-y"], &["sg-1"], LoadBalancerStateEnum::Active));
        let cases = [
            (Live { scheme: "internal".into(), ..base.clone() }, "scheme: internal -> internet-facing"),
            (Live { kind: "network".into(), ..base.clone() }, "type: network -> application"),
            (Live { vpc: "vpc-2".into(), ..base }, "VPC: vpc-2 -> vpc-1"),
        ];
        for (live, expected) in cases {
            assert_eq!(changes(&live), [expected]);
            assert!(wanted().diff(&live).iter().all(|change| matches!(change.means, Means::Refuse(_))));
        }
    }

    #[test]
    fn a_group_that_somebody_added_stays_unless_it_is_to_go() {
        let present = BTreeSet::from(["sg-2".to_owned()]);
        let add = Change::update(SECURITY_GROUP, "", "sg-1");
        let prune = Change::foreign(SECURITY_GROUP, "sg-2");
        assert_eq!(security_groups(&present, "sg-1", std::slice::from_ref(&add)), ["sg-1", "sg-2"]);
        assert_eq!(security_groups(&present, "sg-1", &[add, prune]), ["sg-1"]);
    }

    #[test]
    fn health_follows_the_state() {
        let cases = [
            (LoadBalancerStateEnum::Provisioning, Health::Pending("provisioning".into()), None),
            (LoadBalancerStateEnum::Active, Health::Ready, None),
            (LoadBalancerStateEnum::ActiveImpaired, Health::Ready, Some("why")),
        ];
        for (state, health, impaired) in cases {
            let live = live(&described(&[], &[], state));
            assert_eq!((wanted().health(&live), live.impaired()), (health, impaired));
        }
        let failed = wanted().health(&live(&described(&[], &[], LoadBalancerStateEnum::Failed)));
        assert!(matches!(failed, Health::Failed(reason) if reason.contains("why")));
    }

    #[test]
    fn errors_of_things_that_are_new_may_pass() {
        let answered = |code: &str, text: &str| {
            Error::other(text).answered(Some(code.to_owned()), "elasticloadbalancing:CreateLoadBalancer", None)
        };
        let mut balancer = wanted();
        let gateway = || answered("InvalidSubnet", "VPC vpc-1 has no internet gateway");
        assert_eq!(balancer.explain(gateway()).kind(), Kind::Other);
        balancer.vpc_is_new = true;
        let cases = [
            (gateway(), Kind::NotYet),
            (answered("InvalidSubnet", "Not enough IP space available in subnet-a"), Kind::Other),
            (answered("InvalidSecurityGroup", "The specified security group does not exist."), Kind::NotFound),
        ];
        for (error, kind) in cases {
            assert_eq!(balancer.explain(error).kind(), kind);
        }
    }

    #[test]
    fn the_alias_that_is_to_lead_to_it_has_a_tag() {
        let (group, active) = (&["sg-1"], LoadBalancerStateEnum::Active);
        let live = live(&described(&["subnet-a", "subnet-b"], group, active));
        let zone = crate::dns::Zone { id: "Z1".to_owned(), name: "example.com".to_owned() };
        let alias = AliasTag::new(&Stack::default(), &zone, "app.example.com").expect("a tag");
        let wanted = wanted().tagged(Some(alias.clone()), false);
        let changes: Vec<_> = wanted.diff(&live).iter().map(ToString::to_string).collect();
        assert_eq!(changes, ["tag for the alias: add app.example.com (in Z1)"]);
        let with = |owner| Live { tags: Tags { owner, aliases: vec![alias.clone()] }, ..live.clone() };
        assert_eq!(wanted.diff(&with(Owner::Ours)), []);
        assert_eq!(with(Owner::Ours).aliases(), std::slice::from_ref(&alias));
        assert_eq!(with(Owner::Stack("other".to_owned())).aliases(), [], "another stack's are its own");
    }
}
