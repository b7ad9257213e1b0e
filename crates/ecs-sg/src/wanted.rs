//! The rules that the stack wants of its groups: those that follow from its ports, and those of the file.

use std::collections::BTreeMap;

use ecs_core::id::SecurityGroupId;
use ecs_core::stack::{AlbEgress, Direction, Peer as Given, SgGroup, SgRule};
use ecs_core::{Error, Result, Stack};
use ipnet::IpNet;

use crate::rule::{ANYWHERE, Peer, Rule};

/// What the rules refer to.
#[derive(Debug)]
pub struct Places {
    /// The stack's groups
    pub groups: BTreeMap<SgGroup, SecurityGroupId>,
    /// The other groups of the VPC, by name
    pub named: BTreeMap<String, SecurityGroupId>,
    /// Ranges of the private subnets
    pub private: Vec<String>,
}

impl Places {
    /// Returns the rules that the stack wants of one of its groups.
    ///
    /// # Errors
    /// A peer that is not there.
    pub fn rules(&self, stack: &Stack, group: SgGroup) -> Result<Vec<Rule>> {
        let mut rules = self.following(stack, group);
        let given = stack.sg.rules.iter().filter(|rule| rule.group == group);
        let given = given.map(|rule| self.given(stack, rule)).collect::<Result<Vec<Rule>>>()?;
        // What the file says of a rule that follows from the ports anyway goes before: it describes it.
        rules.retain(|rule| !given.iter().any(|given| given.same_traffic(rule)));
        for rule in given {
            if !rules.iter().any(|other| other.same_traffic(&rule)) {
                rules.push(rule);
            }
        }
        let limited = rules.iter().any(|rule| rule.direction == Direction::Egress)
            || (group == SgGroup::Alb && stack.sg.alb_egress == AlbEgress::Targets);
        let free = group == SgGroup::Alb && stack.sg.alb_egress == AlbEgress::Anywhere;
        if (free || !limited) && !rules.iter().any(Rule::is_anything) {
            rules.push(Rule::anything());
        }
        Ok(rules)
    }

    /// Returns the rules that a group needs, whoever has made it: what is not let through does not work.
    pub fn needed(&self, stack: &Stack, group: SgGroup) -> Vec<Rule> {
        let mut rules = self.following(stack, group);
        if group == SgGroup::Alb {
            rules.extend(self.to_targets(stack));
        }
        rules
    }

    fn following(&self, stack: &Stack, group: SgGroup) -> Vec<Rule> {
        match group {
            SgGroup::Alb => {
                let mut rules = from_internet(stack);
                if stack.sg.alb_egress == AlbEgress::Targets {
                    rules.extend(self.to_targets(stack));
                }
                rules
            }
            SgGroup::Tasks => {
                let alb = self.groups.get(&SgGroup::Alb);
                let rules = |alb| stack.service_ports().into_iter().map(move |port| Rule::from_alb(port, alb));
                let tasks = self.groups.get(&SgGroup::Tasks);
                let among = |tasks| stack.connect_ports().into_iter().map(move |port| Rule::from_tasks(port, tasks));
                alb.into_iter().flat_map(rules).chain(tasks.into_iter().flat_map(among)).collect()
            }
            SgGroup::Db => {
                let tasks = self.groups.get(&SgGroup::Tasks).cloned().map(Peer::Group);
                let rule = |peer| Rule::new(Direction::Ingress, stack.db.port, peer, "Allow PostgreSQL from ECS tasks");
                tasks.map(rule).into_iter().collect()
            }
        }
    }

    fn to_targets(&self, stack: &Stack) -> Vec<Rule> {
        let ports = stack.service_ports();
        ports.into_iter().flat_map(|port| self.private.iter().map(move |range| Rule::to_targets(port, range))).collect()
    }

    fn given(&self, stack: &Stack, given: &SgRule) -> Result<Rule> {
        let ports = given.ports.as_ref().and_then(|ports| ports.ends());
        let peer = match given.peer() {
            Given::Range(range) => Peer::Range(canonical(range)),
            Given::Group(id) => Peer::Group(id.into()),
            Given::PrefixList(id) => Peer::PrefixList(id.to_owned()),
            Given::Own(group) => self.own(group)?,
            Given::Named(name) => match SgGroup::ALL.into_iter().find(|group| stack.sg.name(*group) == name) {
                Some(group) if self.groups.contains_key(&group) => self.own(group)?,
                Some(_) | None => match self.named.get(name) {
                    Some(id) => Peer::Group(id.clone()),
                    None => {
                        return Err(Error::usage(format!("the VPC has no security group named `{name}`"))
                            .hint("name the `peer` of a rule by its id, or correct the name in `sg.rules`"));
                    }
                },
            },
        };
        let description = given.description.clone().unwrap_or_default();
        Ok(Rule::of(given.direction, given.protocol, ports, peer, description))
    }

    fn own(&self, group: SgGroup) -> Result<Peer> {
        let id = self.groups.get(&group).cloned();
        id.map(Peer::Group).ok_or_else(|| Error::usage(format!("the stack has no security group `{}`", group.word())))
    }
}

fn from_internet(stack: &Stack) -> Vec<Rule> {
    let rules = stack.sg.alb_ports.iter().flat_map(|port| {
        let name = match port {
            80 => "HTTP".to_owned(),
            443 => "HTTPS".to_owned(),
            other => format!("port {other}"),
        };
        stack.sg.alb_sources.iter().map(move |range| {
            let range = range.to_string();
            let from = if range == ANYWHERE { "internet" } else { &range };
            let text = format!("Allow {name} from {from}");
            Rule::new(Direction::Ingress, *port, Peer::Range(range), text)
        })
    });
    rules.collect()
}

/// Writes a range as EC2 reads it back: without bits after its length.
fn canonical(range: IpNet) -> String {
    range.trunc().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let id = |group: SgGroup| (group, SecurityGroupId::from(format!("sg-{}", group.word()).as_str()));
        Places {
            groups: SgGroup::ALL.into_iter().map(id).collect(),
            named: BTreeMap::from([("bastion".to_owned(), "sg-b".into())]),
            private: vec!["10.0.3.0/24".to_owned(), "10.0.4.0/24".to_owned()],
        }
    }

    fn stack(sg: serde_json::Value) -> Stack {
        serde_json::from_value(serde_json::json!({ "sg": sg })).expect("a stack")
    }

    fn texts(stack: &Stack, group: SgGroup) -> Vec<String> {
        let rules = places().rules(stack, group).expect("rules");
        rules.iter().map(|rule| format!("{rule} ({})", rule.description)).collect()
    }

    #[test]
    fn rules_follow_from_the_ports_and_everything_may_go_out() {
        let stack = Stack::default();
        assert_eq!(
            texts(&stack, SgGroup::Alb),
            [
                "tcp 80 from 0.0.0.0/0 (Allow HTTP from internet)",
                "tcp 443 from 0.0.0.0/0 (Allow HTTPS from internet)",
                "all traffic to 0.0.0.0/0 ()"
            ]
        );
        assert_eq!(
            texts(&stack, SgGroup::Tasks),
            [
                "tcp 80 from sg-alb (Allow port 80 from ALB)",
                "tcp 3001 from sg-alb (Allow port 3001 from ALB)",
                "all traffic to 0.0.0.0/0 ()"
            ]
        );
        assert_eq!(
            texts(&stack, SgGroup::Db),
            ["tcp 5432 from sg-tasks (Allow PostgreSQL from ECS tasks)", "all traffic to 0.0.0.0/0 ()"]
        );
    }

    #[test]
    fn a_load_balancer_may_be_held_to_its_targets() {
        let stack =
            stack(serde_json::json!({"alb_ports": [8080], "alb_sources": ["10.0.0.0/8"], "alb_egress": "targets"}));
        assert_eq!(
            texts(&stack, SgGroup::Alb),
            [
                "tcp 8080 from 10.0.0.0/8 (Allow port 8080 from 10.0.0.0/8)",
                "tcp 80 to 10.0.3.0/24 (Allow port 80 to private subnets)",
                "tcp 80 to 10.0.4.0/24 (Allow port 80 to private subnets)",
                "tcp 3001 to 10.0.3.0/24 (Allow port 3001 to private subnets)",
                "tcp 3001 to 10.0.4.0/24 (Allow port 3001 to private subnets)"
            ]
        );
    }

    #[test]
    fn rules_of_the_file_come_beside_the_others_and_limit_the_way_out() {
        let stack = stack(serde_json::json!({"rules": [
            {"group": "tasks", "ports": 3001, "peer": "alb", "description": "the API"},
            {"group": "tasks", "ports": "9000-9100", "peer": "bastion"},
            {"group": "tasks", "peer": "ECS-SG", "protocol": "all"},
            {"group": "tasks", "direction": "egress", "ports": 443, "peer": "pl-1"},
            {"group": "db", "protocol": "icmp", "peer": "fd00::/8"},
            {"group": "alb", "direction": "egress", "ports": 443, "peer": "0.0.0.0/0"},
        ]}));
        assert_eq!(
            texts(&stack, SgGroup::Tasks),
            [
                "tcp 80 from sg-alb (Allow port 80 from ALB)",
                "tcp 3001 from sg-alb (the API)",
                "tcp 9000-9100 from sg-b ()",
                "all traffic from sg-tasks ()",
                "tcp 443 to pl-1 ()"
            ]
        );
        assert_eq!(texts(&stack, SgGroup::Db)[1..], ["icmp from fd00::/8 ()", "all traffic to 0.0.0.0/0 ()"]);
        let alb = texts(&stack, SgGroup::Alb);
        assert_eq!(alb[2..], ["tcp 443 to 0.0.0.0/0 ()", "all traffic to 0.0.0.0/0 ()"], "`alb_egress` says so");
        let unknown = stack_with_peer("nobody");
        assert!(places().rules(&unknown, SgGroup::Tasks).is_err());
    }

    fn stack_with_peer(peer: &str) -> Stack {
        stack(serde_json::json!({"rules": [{"group": "tasks", "ports": 1, "peer": peer}]}))
    }
}
