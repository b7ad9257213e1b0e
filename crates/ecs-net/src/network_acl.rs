//! The network ACL of the subnets, its rules, and its associations with them.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{
    IcmpTypeCode, NetworkAcl as Described, NetworkAclEntry, PortRange, ResourceType, RuleAction, Tag,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{NetworkAclId, SubnetId, VpcId};
use ecs_core::stack::network_acl::{AclEntry, ICMP};
use ecs_core::{All as _, Change, Error, Held, Identity, Kind, Listing, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;

use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2};

/// Network ACLs, rules and associations exist at once and are deleted at once.
const AT_ONCE: Duration = Duration::from_secs(5 * 60);
/// Number of the rule at the end of every ACL that denies what no other allows; nobody can change it.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html>
const LAST_NUMBER: i32 = 32_767;

/// The network ACLs of one VPC, listed once for all that reads them.
pub type List = Rc<Listing<Vec<Described>>>;

/// Returns the identity of the stack's network ACL.
pub fn identity(stack: &Stack) -> Identity {
    Identity::new(&stack.name, LAYER, format!("{}-acl", stack.name))
}

/// Returns the network ACLs of a VPC.
///
/// # Errors
/// Any refusal by EC2.
pub async fn acls(ec2: &Ec2, vpc: &VpcId, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let all = ec2.read.describe_network_acls().filters(ec2::filter("vpc-id", vpc.as_str()));
        all.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeNetworkAcls")
    })
    .await
}

/// Returns the id of a VPC's own network ACL, which lets everything through, and which subnets have that have no other.
pub fn default_acl(all: &[Described]) -> Option<String> {
    all.iter().find(|acl| acl.is_default() == Some(true)).and_then(|acl| acl.network_acl_id.clone())
}

/// Gives the subnet of an association another ACL.
///
/// # Errors
/// Any refusal by EC2.
pub async fn replace_association(ec2: &Ec2, association: &str, acl: &str) -> Result<()> {
    let call = ec2.write.replace_network_acl_association().association_id(association).network_acl_id(acl);
    call.send().await.answer("ec2:ReplaceNetworkAclAssociation").map(drop)
}

/// Gives the subnets the ACL that the stack file has; says and does nothing where it has none.
///
/// Its rules stand before a subnet has it: an ACL without rules lets nothing through.
///
/// # Errors
/// Any refusal by EC2.
pub async fn ensure(
    run: &Run<'_>,
    ec2: &Ec2,
    (stack, vpc, list): (&Stack, &Held<Vpc>, &List),
    subnets: impl Iterator<Item = (&SubnetId, &str, ecs_core::stack::Tier)>,
) -> Result<()> {
    let Some(config) = &stack.net.network_acl else { return Ok(()) };
    let entries = config.entries().iter().map(Rule::of).collect();
    let acl = run.ensure(ec2, NetworkAcl::new(stack, vpc, entries, list)).await?;
    // A new VPC's own ACL, which the subnets have until now, is in no list yet.
    let list = if vpc.is_new() { List::default() } else { Rc::clone(list) };
    let association = |(subnet, name, tier): (&SubnetId, &str, _)| {
        let wanted = if config.covers(tier) { Wanted::Ours } else { Wanted::NotOurs };
        run.ensure(ec2, Association::new(&acl, &vpc.id, (subnet, name), wanted, &list))
    };
    // A subnet that a plan would make has the VPC's own.
    let mut subnets: Vec<_> = subnets.collect();
    subnets.retain(|(subnet, _, tier)| config.covers(*tier) || !subnet.is_planned());
    join_all(subnets.into_iter().map(association)).await.all().map(drop)
}

/// Lets a destroy find the ACL and its associations, whatever the file has become.
///
/// # Errors
/// Any refusal by EC2.
pub async fn look(run: &Run<'_>, ec2: &Ec2, (stack, vpc, list): (&Stack, &Held<Vpc>, &List)) -> Result<()> {
    let acl = run.ensure(ec2, NetworkAcl::new(stack, vpc, Vec::new(), list)).await?;
    let associations = acl.subnets.iter().map(|subnet| {
        let subnet = (subnet, subnet.as_str());
        run.ensure(ec2, Association::new(&acl, &vpc.id, subnet, Wanted::Nothing, list))
    });
    join_all(associations.collect::<Vec<_>>()).await.all().map(drop)
}

/// One rule, as EC2 says it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    egress: bool,
    number: i32,
    allow: bool,
    protocol: String,
    ports: Option<(i32, i32)>,
    /// Type and code, -1 for all
    icmp: Option<(i32, i32)>,
    range: String,
}

impl Rule {
    fn of(entry: &AclEntry) -> Self {
        Self {
            egress: entry.egress,
            number: entry.number,
            allow: entry.allow,
            protocol: entry.protocol.to_string(),
            ports: entry.ports.map(|(first, last)| (first.into(), last.into())),
            icmp: (entry.protocol == ICMP).then_some((-1, -1)),
            range: entry.cidr.to_string(),
        }
    }

    fn read(entry: &NetworkAclEntry) -> Self {
        let ports = entry.port_range().and_then(|ports| Some((ports.from()?, ports.to()?)));
        let icmp = entry.icmp_type_code().map(|icmp| (icmp.r#type().unwrap_or(-1), icmp.code().unwrap_or(-1)));
        let range = entry.cidr_block().or(entry.ipv6_cidr_block());
        Self {
            egress: entry.egress().unwrap_or_default(),
            number: entry.rule_number().unwrap_or_default(),
            allow: entry.rule_action() == Some(&RuleAction::Allow),
            protocol: entry.protocol().unwrap_or_default().to_owned(),
            ports,
            icmp,
            range: range.unwrap_or_default().to_owned(),
        }
    }

    fn field(&self) -> &'static str {
        if self.egress { "egress rule" } else { "ingress rule" }
    }

    /// Says what it does: `100 allow tcp 443 from 0.0.0.0/0`.
    fn describe(&self) -> String {
        let protocol = match self.protocol.as_str() {
            "-1" => "all traffic",
            "6" => "tcp",
            "17" => "udp",
            "1" => "icmp",
            other => &format!("protocol {other}"),
        };
        let ports = match self.ports {
            Some((first, last)) if first == last => format!(" {first}"),
            Some((first, last)) => format!(" {first}-{last}"),
            None => String::new(),
        };
        let icmp = match self.icmp {
            None | Some((-1, -1)) => String::new(),
            Some((kind, code)) => format!(" type {kind} code {code}"),
        };
        let (action, way) = (if self.allow { "allow" } else { "deny" }, if self.egress { "to" } else { "from" });
        format!("{} {action} {protocol}{ports}{icmp} {way} {}", self.number, self.range)
    }

    fn action(&self) -> RuleAction {
        if self.allow { RuleAction::Allow } else { RuleAction::Deny }
    }

    fn port_range(&self) -> Option<PortRange> {
        self.ports.map(|(first, last)| PortRange::builder().from(first).to(last).build())
    }

    fn icmp_type_code(&self) -> Option<IcmpTypeCode> {
        self.icmp.map(|(kind, code)| IcmpTypeCode::builder().r#type(kind).code(code).build())
    }
}

/// The network ACL with its rules.
#[derive(Debug)]
pub struct NetworkAcl {
    identity: Identity,
    vpc: VpcId,
    rules: Vec<Rule>,
    list: List,
}

/// What EC2 says the network ACL is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: NetworkAclId,
    subnets: Vec<SubnetId>,
    rules: Vec<Rule>,
    tags: Vec<Tag>,
}

impl NetworkAcl {
    fn new(stack: &Stack, vpc: &Held<Vpc>, rules: Vec<Rule>, list: &List) -> Self {
        Self { identity: identity(stack), vpc: vpc.id.clone(), rules, list: Rc::clone(list) }
    }

    fn same_place(&self, live: &Live, rule: &Rule) -> Option<Rule> {
        live.rules.iter().find(|other| (other.egress, other.number) == (rule.egress, rule.number)).cloned()
    }

    async fn add(&self, ec2: &Ec2, acl: &str, rule: &Rule) -> Result<()> {
        let call = ec2.write.create_network_acl_entry().network_acl_id(acl).egress(rule.egress);
        let call = call.rule_number(rule.number).rule_action(rule.action()).protocol(&rule.protocol);
        let call = call.cidr_block(&rule.range).set_port_range(rule.port_range());
        let reply = call.set_icmp_type_code(rule.icmp_type_code()).send().await;
        match reply.answer("ec2:CreateNetworkAclEntry") {
            Ok(_) => Ok(()),
            // Made by another run of this stack, or by this one before others of its rules were refused.
            Err(error) if error.code() == Some("NetworkAclEntryAlreadyExists") => self.replace(ec2, acl, rule).await,
            Err(error) if error.code() == Some("NetworkAclEntryLimitExceeded") => Err(error
                .hint("raise the quota \"Rules per network ACL\" (20 in each direction by default) in Service Quotas")),
            Err(error) => Err(error),
        }
    }

    async fn replace(&self, ec2: &Ec2, acl: &str, rule: &Rule) -> Result<()> {
        let call = ec2.write.replace_network_acl_entry().network_acl_id(acl).egress(rule.egress);
        let call = call.rule_number(rule.number).rule_action(rule.action()).protocol(&rule.protocol);
        let call = call.cidr_block(&rule.range).set_port_range(rule.port_range());
        let reply = call.set_icmp_type_code(rule.icmp_type_code()).send().await;
        reply.answer("ec2:ReplaceNetworkAclEntry").map(drop)
    }

    async fn remove(&self, ec2: &Ec2, acl: &str, rule: &Rule) -> Result<()> {
        let call = ec2.write.delete_network_acl_entry().network_acl_id(acl).egress(rule.egress);
        call.rule_number(rule.number).send().await.answer_if_found("ec2:DeleteNetworkAclEntry").map(drop)
    }
}

impl Resource for NetworkAcl {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "network ACL";
    const PATIENCE: Duration = AT_ONCE;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        let id = NetworkAclId::planned(&self.identity.name);
        Live { id, subnets: Vec::new(), rules: Vec::new(), tags: Vec::new() }
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let acls = acls(ec2, &self.vpc, &self.list).await?;
        let acl = acls.iter().find(|acl| ec2::is(&self.identity, acl.tags()));
        Ok(acl.map(|acl| Live {
            id: acl.network_acl_id().unwrap_or_default().into(),
            subnets: acl.associations().iter().filter_map(|one| one.subnet_id()).map(Into::into).collect(),
            rules: acl.entries().iter().map(Rule::read).filter(|rule| rule.number < LAST_NUMBER).collect(),
            tags: acl.tags().to_vec(),
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let call = ec2.write.create_network_acl().vpc_id(self.vpc.as_str());
        let call = call.client_token(self.identity.token(&[self.vpc.as_str(), &ec2::minutes()?]));
        let call = call.tag_specifications(ec2::tags(&self.identity, ResourceType::NetworkAcl));
        let id = call.send().await.answer("ec2:CreateNetworkAcl")?.network_acl.and_then(|acl| acl.network_acl_id);
        Ok(Live { id: present(id, "ec2:CreateNetworkAcl", "the network ACL's id")?.into(), ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let mut changes = Vec::new();
        for rule in &self.rules {
            let before = self.same_place(live, rule);
            if before.as_ref() != Some(rule) {
                let before = before.map(|rule| rule.describe()).unwrap_or_default();
                changes.push(Change::update(rule.field(), before, rule.describe()));
            }
        }
        let wanted =
            |rule: &&Rule| self.rules.iter().any(|other| (other.egress, other.number) == (rule.egress, rule.number));
        let others = live.rules.iter().filter(|rule| !wanted(rule));
        changes.extend(others.map(|rule| Change::foreign(rule.field(), rule.describe())));
        changes
    }

    /// Adds rules, then replaces some, then removes others: in between, too, all that is to pass passes.
    async fn update(&self, ec2: &Ec2, live: &Live, changes: &[Change]) -> Result<()> {
        let acl = live.id.as_str();
        let (mut added, mut replaced, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            let is = |rule: &&Rule, text: &str| rule.field() == change.field && rule.describe() == text;
            let wanted = self.rules.iter().find(|rule| is(rule, &change.to));
            match (wanted, live.rules.iter().find(|rule| is(rule, &change.from))) {
                (Some(rule), None) => added.push(rule),
                (Some(rule), Some(_)) => replaced.push(rule),
                (None, Some(rule)) => removed.push(rule),
                (None, None) => {}
            }
        }
        join_all(added.iter().map(|rule| self.add(ec2, acl, rule))).await.all()?;
        let now = live.rules.iter().chain(added).cloned().collect();
        for rule in in_turn(now, replaced) {
            self.replace(ec2, acl, rule).await?;
        }
        join_all(removed.iter().map(|rule| self.remove(ec2, acl, rule))).await.all().map(drop)
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        let call = ec2.write.delete_network_acl().network_acl_id(live.id.as_str());
        call.send().await.answer("ec2:DeleteNetworkAcl").map(drop)
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&self.identity, &live.tags)
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2::adopt(ec2, live.id.as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.list.forget();
    }
}

/// Puts rules that replace others in an order in which each takes the place of what stands elsewhere by then, or is not
/// wanted any more: a rule that another is put before moves to the next number, and nothing may be stopped meanwhile.
fn in_turn(mut now: Vec<Rule>, mut rules: Vec<&Rule>) -> Vec<&Rule> {
    let place = |rule: &Rule| (rule.egress, rule.number);
    let same = |one: &Rule, other: &Rule| Rule { number: other.number, ..one.clone() } == *other;
    let mut turn = Vec::new();
    while !rules.is_empty() {
        let free = rules.iter().position(|rule| {
            let Some(before) = now.iter().find(|other| place(other) == place(rule)) else { return true };
            let elsewhere = now.iter().any(|other| place(other) != place(before) && same(before, other));
            elsewhere || !rules.iter().any(|other| same(before, other))
        });
        // Two that change places have no such order.
        let rule = rules.remove(free.unwrap_or_default());
        now.retain(|other| place(other) != place(rule));
        now.push(rule.clone());
        turn.push(rule);
    }
    turn
}

/// Which ACL a subnet is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The stack's
    Ours,
    /// Any but the stack's, or else the VPC's own
    NotOurs,
    /// It is on its way out: the VPC's own
    Nothing,
}

/// The association of a subnet with a network ACL: it always has one.
#[derive(Debug)]
struct Association {
    acl: NetworkAclId,
    vpc: VpcId,
    subnet: SubnetId,
    name: String,
    wanted: Wanted,
    list: List,
}

/// What EC2 says the association is.
#[derive(Debug, Clone)]
struct Associated {
    id: String,
    acl: String,
    /// The VPC's own ACL
    default: String,
}

impl Association {
    fn new(
        acl: &Held<NetworkAcl>,
        vpc: &VpcId,
        (subnet, name): (&SubnetId, &str),
        wanted: Wanted,
        list: &List,
    ) -> Self {
        let (acl, list) = (acl.id.clone(), Rc::clone(list));
        Self { acl, vpc: vpc.clone(), subnet: subnet.clone(), name: name.to_owned(), wanted, list }
    }

    fn target(&self, live: &Associated) -> String {
        match self.wanted {
            Wanted::Ours => self.acl.to_string(),
            Wanted::NotOurs | Wanted::Nothing if live.acl == self.acl.as_str() => live.default.clone(),
            Wanted::NotOurs | Wanted::Nothing => live.acl.clone(),
        }
    }
}

impl Resource for Association {
    type Api = Ec2;
    type Live = Associated;
    const KIND: &'static str = "network ACL of subnet";
    const PATIENCE: Duration = AT_ONCE;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, live: &Associated) -> String {
        live.acl.clone()
    }

    fn planned(&self) -> Associated {
        let id = ecs_core::id::planned(Self::KIND, &self.name);
        Associated { id, acl: self.acl.to_string(), default: String::new() }
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Associated>> {
        if self.subnet.is_planned() {
            return Ok(None);
        }
        let acls = acls(ec2, &self.vpc, &self.list).await?;
        let mut all = acls.iter().flat_map(|acl| acl.associations());
        let association = all.find(|association| association.subnet_id() == Some(self.subnet.as_str()));
        let live = association.map(|association| Associated {
            id: association.network_acl_association_id().unwrap_or_default().to_owned(),
            acl: association.network_acl_id().unwrap_or_default().to_owned(),
            default: default_acl(&acls).unwrap_or_default(),
        });
        Ok(live.filter(|live| self.wanted != Wanted::Nothing || live.acl == self.acl.as_str()))
    }

    /// Makes nothing: EC2 makes it together with the subnet, and shows it a little later.
    async fn create(&self, _ec2: &Ec2) -> Result<Associated> {
        Err(Error::new(Kind::NotYet, "EC2 does not show the new subnet's network ACL yet"))
    }

    fn diff(&self, live: &Associated) -> Vec<Change> {
        Change::of("network ACL", &live.acl, &self.target(live)).into_iter().collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Associated, _changes: &[Change]) -> Result<()> {
        replace_association(ec2, &live.id, &self.target(live)).await
    }

    /// Gives the subnet the VPC's own ACL back: one that a subnet has cannot be deleted.
    async fn delete(&self, ec2: &Ec2, live: &Associated) -> Result<()> {
        replace_association(ec2, &live.id, &live.default).await
    }

    fn owner(&self, _live: &Associated) -> Owner {
        // The subnet's and the ACL's owners were settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &Associated) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.list.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(egress: bool, number: i32, port: i32) -> Rule {
        let (protocol, range) = ("6".to_owned(), "0.0.0.0/0".to_owned());
        Rule { egress, number, allow: true, protocol, ports: Some((port, port)), icmp: None, range }
    }

    #[test]
    fn rules_are_added_replaced_and_somebody_elses() {
        let rules = vec![rule(false, 100, 80), rule(false, 110, 443), rule(true, 100, 443)];
        let acl = NetworkAcl {
            identity: Identity::new("prod", LAYER, "prod-acl"),
            vpc: "vpc-1".into(),
            rules: rules.clone(),
            list: List::default(),
        };
        let live = |rules| Live { rules, ..acl.planned() };
        assert_eq!(acl.diff(&live(rules)), []);
        let found = vec![rule(false, 100, 80), rule(false, 110, 22), rule(false, 50, 8080)];
        assert_eq!(
            acl.diff(&live(found)),
            [
                Change::update("ingress rule", "110 allow tcp 22 from 0.0.0.0/0", "110 allow tcp 443 from 0.0.0.0/0"),
                Change::update("egress rule", "", "100 allow tcp 443 to 0.0.0.0/0"),
                Change::foreign("ingress rule", "50 allow tcp 8080 from 0.0.0.0/0"),
            ]
        );
    }

    #[test]
    fn what_is_to_pass_passes_while_rules_change_places() {
        let rules = |ports: &[i32]| -> Vec<Rule> {
            ports.iter().zip((100..).step_by(10)).map(|(port, number)| rule(false, number, *port)).collect()
        };
        // One comes before the others: the last has been added by then.
        let (now, wanted) = (rules(&[80, 443, 1024, 1024]), rules(&[22, 80, 443, 1024]));
        let turn = in_turn(now, wanted[..3].iter().collect());
        assert_eq!(turn.iter().map(|rule| rule.number).collect::<Vec<_>>(), [120, 110, 100]);
        // One goes: the last is removed after that.
        let (now, wanted) = (rules(&[22, 80, 443]), rules(&[80, 443]));
        let turn = in_turn(now, wanted.iter().collect());
        assert_eq!(turn.iter().map(|rule| rule.number).collect::<Vec<_>>(), [100, 110]);
        // Two that change places have to go one after the other.
        let (now, wanted) = (rules(&[80, 443]), rules(&[443, 80]));
        assert_eq!(in_turn(now, wanted.iter().collect()).len(), 2);
    }

    #[test]
    fn a_rule_reads_as_it_was_written() {
        let entry = |protocol, ports| AclEntry {
            egress: true,
            number: 100,
            protocol,
            ports,
            cidr: "10.0.0.0/8".parse().expect("a range"),
            allow: false,
        };
        for (entry, text) in [
            (entry(6, Some((1024, 65535))), "100 deny tcp 1024-65535 to 10.0.0.0/8"),
            (entry(-1, None), "100 deny all traffic to 10.0.0.0/8"),
            (entry(1, None), "100 deny icmp to 10.0.0.0/8"),
            (entry(50, None), "100 deny protocol 50 to 10.0.0.0/8"),
        ] {
            let rule = Rule::of(&entry);
            assert_eq!(rule.describe(), text);
            let read = NetworkAclEntry::builder().egress(true).rule_number(100).rule_action(RuleAction::Deny);
            let read = read.protocol(&rule.protocol).cidr_block("10.0.0.0/8");
            let read = read.set_port_range(rule.port_range()).set_icmp_type_code(rule.icmp_type_code()).build();
            assert_eq!(Rule::read(&read), rule);
        }
        let ping = Rule { icmp: Some((8, 0)), ..Rule::of(&entry(1, None)) };
        assert_eq!(ping.describe(), "100 deny icmp type 8 code 0 to 10.0.0.0/8");
    }

    #[test]
    fn a_subnet_that_is_not_to_have_the_acl_gets_the_vpcs_own_back() {
        let association = |wanted| Association {
            acl: "acl-ours".into(),
            vpc: "vpc-1".into(),
            subnet: "subnet-1".into(),
            name: "prod-public-a".to_owned(),
            wanted,
            list: List::default(),
        };
        let live = |acl: &str| Associated { id: "a".to_owned(), acl: acl.to_owned(), default: "acl-own".to_owned() };
        let ours = Change::update("network ACL", "acl-own", "acl-ours");
        assert_eq!(association(Wanted::Ours).diff(&live("acl-own")), [ours]);
        assert_eq!(association(Wanted::Ours).diff(&live("acl-ours")), []);
        let back = Change::update("network ACL", "acl-ours", "acl-own");
        assert_eq!(association(Wanted::NotOurs).diff(&live("acl-ours")), [back]);
        assert_eq!(association(Wanted::NotOurs).diff(&live("acl-theirs")), []);
    }
}
