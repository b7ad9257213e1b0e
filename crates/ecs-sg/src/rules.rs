//! The rules of a security group, taken together.

use std::cell::Cell;
use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, ResourceType};
use ecs_aws::Answer as _;
use ecs_core::id::SecurityGroupId;
use ecs_core::stack::Direction;
use ecs_core::{All as _, Change, Held, Owner, Resource, Result};
use futures::join;

use crate::Ec2;
use crate::rule::{Peer, Rule};
use crate::security_group::{Live, SecurityGroup, tags};

/// What differs, as [`Change::field`].
const RULE_DESCRIPTION: &str = "rule description";

/// The rules of one security group.
#[derive(Debug)]
pub struct Rules {
    group: Live,
    wanted: Vec<Rule>,
    /// They are to go with their group
    doomed: bool,
    known: Cell<bool>,
}

impl Rules {
    /// Makes the rules of a group.
    pub fn new(group: &Held<SecurityGroup>, wanted: Vec<Rule>) -> Self {
        Self { group: (**group).clone(), wanted, doomed: false, known: Cell::new(true) }
    }

    /// Makes the rules of a group that is to be deleted: those that refer to other groups have to go before.
    pub fn for_destroy(group: &Held<SecurityGroup>) -> Self {
        Self { doomed: true, ..Self::new(group, Vec::new()) }
    }

    async fn read(&self, ec2: &Ec2) -> Result<Vec<Rule>> {
        if self.known.get() { Ok(self.group.rules.clone()) } else { self.group.read_rules(ec2).await }
    }

    fn missing<'w>(&'w self, live: &[Rule]) -> Vec<&'w Rule> {
        self.wanted.iter().filter(|wanted| !live.iter().any(|rule| rule.same_traffic(wanted))).collect()
    }

    /// Returns the rules that are too much. In a VPC with IPv6 AWS lets everything out by two rules, not one.
    fn unwanted<'l>(&self, live: &'l [Rule]) -> Vec<&'l Rule> {
        let free = self.wanted.iter().any(Rule::is_anything);
        let wanted = |rule: &Rule| self.wanted.iter().any(|wanted| rule.same_traffic(wanted));
        live.iter().filter(|rule| !(wanted(rule) || (free && rule.is_anything()))).collect()
    }

    /// Returns the wanted rules that are described differently; AWS's own is not described at all.
    fn renamed<'w>(&'w self, live: &[Rule]) -> Vec<(&'w Rule, String)> {
        let spoken = self.wanted.iter().filter(|wanted| !(wanted.is_anything() && wanted.description.is_empty()));
        let renamed = spoken.filter_map(|wanted| {
            let rule = live.iter().find(|rule| rule.same_traffic(wanted))?;
            (rule.description != wanted.description).then(|| (wanted, rule.description.clone()))
        });
        renamed.collect()
    }
}

impl Resource for Rules {
    type Api = Ec2;
    type Live = Vec<Rule>;
    const KIND: &'static str = "rules of security group";
    /// They exist at once.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        self.group.identity.name.clone()
    }

    fn id(&self, _live: &Vec<Rule>) -> String {
        self.group.id.to_string()
    }

    fn planned(&self) -> Vec<Rule> {
        self.wanted.clone()
    }

    /// Returns the rules; a group that has only the rule that AWS gives a new one has none yet.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Vec<Rule>>> {
        let rules = self.read(ec2).await?;
        let untouched = rules.iter().all(Rule::is_anything);
        let wants = self.wanted.iter().any(|rule| !rule.is_anything());
        Ok(Some(rules).filter(|_| !untouched || !(wants || self.doomed)))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Vec<Rule>> {
        // Listed a moment ago.
        let live = self.read(ec2).await?;
        authorize(ec2, &self.group, &self.missing(&live)).await?;
        revoke(ec2, &self.group.id, &self.unwanted(&live)).await?;
        Ok(self.wanted.clone())
    }

    /// Compares the rules. That everything may go out is AWS's doing and nobody's wish: where the file limits what may,
    /// it is changed like the rest.
    fn diff(&self, live: &Vec<Rule>) -> Vec<Change> {
        let described = self.renamed(live).into_iter();
        let described = described.map(|(rule, from)| Change::update(RULE_DESCRIPTION, from, &rule.description));
        let missing = self.missing(live).into_iter().map(|rule| Change::update(rule.field(), "", rule.to_string()));
        let unwanted = self.unwanted(live).into_iter().map(|rule| {
            if rule.is_anything() {
                Change::update(rule.field(), rule.to_string(), "")
            } else if rule.is_a_services() {
                Change::former(rule.field(), rule.to_string())
            } else {
                Change::foreign(rule.field(), rule.to_string())
            }
        });
        missing.chain(described).chain(unwanted).collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Vec<Rule>, changes: &[Change]) -> Result<()> {
        let renamed: Vec<_> = self.renamed(live).into_iter().map(|(rule, _)| rule).collect();
        // The engine hands foreign rules over only with --prune.
        let gone = |rule: &&Rule| {
            let gone = |change: &Change| {
                change.to.is_empty() && change.field == rule.field() && change.from == rule.to_string()
            };
            changes.iter().any(gone)
        };
        let gone: Vec<_> = live.iter().filter(gone).collect();
        // In this order, so that nothing is cut off in between.
        let missing = self.missing(live);
        join!(authorize(ec2, &self.group, &missing), describe(ec2, &self.group, &renamed)).all()?;
        revoke(ec2, &self.group.id, &gone).await
    }

    async fn delete(&self, ec2: &Ec2, live: &Vec<Rule>) -> Result<()> {
        // Rules for ranges go with their group; those for groups would keep the groups in use.
        let references: Vec<_> = live.iter().filter(|rule| matches!(rule.peer, Peer::Group(_))).collect();
        revoke(ec2, &self.group.id, &references).await
    }

    fn owner(&self, _live: &Vec<Rule>) -> Owner {
        // The group's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &Vec<Rule>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.known.set(false);
        self.group.forget();
    }
}

/// Returns what EC2 is told of the rules of one direction; none where there are none.
fn permissions(rules: &[&Rule], direction: Direction) -> Option<Vec<IpPermission>> {
    let permissions = rules.iter().filter(|rule| rule.direction == direction).map(|rule| rule.permission());
    Some(permissions.collect::<Vec<_>>()).filter(|permissions| !permissions.is_empty())
}

async fn authorize(ec2: &Ec2, group: &Live, rules: &[&Rule]) -> Result<()> {
    let tags = || tags(&group.identity, ResourceType::SecurityGroupRule);
    let ingress = async {
        let Some(permissions) = permissions(rules, Direction::Ingress) else { return Ok(()) };
        let call = ec2.write.authorize_security_group_ingress().group_id(group.id.as_str()).tag_specifications(tags());
        let reply = call.set_ip_permissions(Some(permissions)).send().await;
        reply.answer("ec2:AuthorizeSecurityGroupIngress").map(drop)
    };
    let egress = async {
        let Some(permissions) = permissions(rules, Direction::Egress) else { return Ok(()) };
        let call = ec2.write.authorize_security_group_egress().group_id(group.id.as_str()).tag_specifications(tags());
        let reply = call.set_ip_permissions(Some(permissions)).send().await;
        reply.answer("ec2:AuthorizeSecurityGroupEgress").map(drop)
    };
    join!(ingress, egress).all().map(drop)
}

async fn describe(ec2: &Ec2, group: &Live, rules: &[&Rule]) -> Result<()> {
    let ingress = async {
        let Some(permissions) = permissions(rules, Direction::Ingress) else { return Ok(()) };
        let call = ec2.write.update_security_group_rule_descriptions_ingress().group_id(group.id.as_str());
        let reply = call.set_ip_permissions(Some(permissions)).send().await;
        reply.answer("ec2:UpdateSecurityGroupRuleDescriptionsIngress").map(drop)
    };
    let egress = async {
        let Some(permissions) = permissions(rules, Direction::Egress) else { return Ok(()) };
        let call = ec2.write.update_security_group_rule_descriptions_egress().group_id(group.id.as_str());
        let reply = call.set_ip_permissions(Some(permissions)).send().await;
        reply.answer("ec2:UpdateSecurityGroupRuleDescriptionsEgress").map(drop)
    };
    join!(ingress, egress).all().map(drop)
}

/// Revokes rules of a group.
///
/// # Errors
/// Any refusal by EC2.
pub async fn revoke(ec2: &Ec2, group: &SecurityGroupId, rules: &[&Rule]) -> Result<()> {
    let ingress = async {
        let Some(permissions) = permissions(rules, Direction::Ingress) else { return Ok(()) };
        let call = ec2.write.revoke_security_group_ingress().group_id(group.as_str());
        let reply = call.set_ip_permissions(Some(permissions)).send().await;
        reply.answer("ec2:RevokeSecurityGroupIngress").map(drop)
    };
    let egress = async {
        let Some(permissions) = permissions(rules, Direction::Egress) else { return Ok(()) };
        let call = ec2.write.revoke_security_group_egress().group_id(group.as_str());
        let reply = call.set_ip_permissions(Some(permissions)).send().await;
        reply.answer("ec2:RevokeSecurityGroupEgress").map(drop)
    };
    join!(ingress, egress).all().map(drop)
}
