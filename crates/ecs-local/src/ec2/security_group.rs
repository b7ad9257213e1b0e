//! Security groups: their names, and their rules one by one. moto compares rules with their descriptions, AWS without.

use std::collections::BTreeSet;

use xmltree::Element;

use super::listing::{ask, items, value};
use super::refusal::Refusal;
use super::vpc::same_vpc;
use super::{existing, of_kind};
use crate::answer::Answer;
use crate::call::Request;
use crate::form::Form;
use crate::proxy::Proxy;

/// A rule, without what tells nothing apart: its id, description and tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    protocol: String,
    from: String,
    to: String,
    /// A range, a prefix list or a group.
    peer: String,
}

impl Rule {
    fn new(protocol: &str, from: &str, to: &str, peer: &str) -> Rule {
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "6" | "tcp" => "tcp",
            "17" | "udp" => "udp",
            "1" | "icmp" => "icmp",
            "-1" | "all" => "-1",
            _ => protocol,
        };
        // With all protocols go all ports, whatever is said (EC2 API reference, IpPermission).
        let (from, to) = if protocol == "-1" { ("-1", "-1") } else { (from, to) };
        Rule { protocol: protocol.to_owned(), from: from.to_owned(), to: to.to_owned(), peer: peer.to_owned() }
    }

    /// As EC2 lists it.
    fn listed(item: &Element) -> Rule {
        let peers = ["cidrIpv4", "cidrIpv6", "prefixListId", "referencedGroupInfo/groupId"];
        let peer = peers.iter().map(|path| value(item, path)).find(|peer| !peer.is_empty()).unwrap_or_default();
        Rule::new(&value(item, "ipProtocol"), &value(item, "fromPort"), &value(item, "toPort"), &peer)
    }

    /// As AWS words it in a refusal.
    fn words(&self) -> String {
        let Rule { protocol, from, to, peer } = self;
        if protocol == "-1" {
            return format!("peer: {peer}, ALL, ALLOW");
        }
        format!("peer: {peer}, {}, from port: {from}, to port: {to}, ALLOW", protocol.to_ascii_uppercase())
    }
}

/// Refuses a group of a name that is taken in its VPC.
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let name = request.form_value("GroupName").unwrap_or_default();
    if name == "default" {
        return Err(Refusal::new("InvalidGroup.Reserved", "The security group 'default' is reserved"));
    }
    if name.to_ascii_lowercase().starts_with("sg-") {
        let message =
            format!("Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*.");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let Some(vpc) = request.form_value("VpcId") else { return Ok(()) };
    existing(proxy, request, vpc).await?;
    let namesakes = [("vpc-id", vpc), ("group-name", name)];
    // moto takes filter values for patterns.
    let groups = of_kind(proxy, request, "DescribeSecurityGroups", &namesakes).await;
    if groups.iter().any(|group| value(group, "groupName") == name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(Refusal::new("InvalidGroup.Duplicate", message));
    }
    Ok(())
}

/// Refuses rules that are there already, or twice in the call, and those that refer to groups that are not there.
pub(super) async fn authorize(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("GroupId") else { return Ok(()) };
    let group = existing(proxy, request, id).await?;
    let mut present: BTreeSet<Rule> = rules(proxy, request, id).await.into_iter().map(|(_, rule)| rule).collect();
    for rule in asked(request) {
        if rule.peer.starts_with("sg-") && !same_vpc(&group, &existing(proxy, request, &rule.peer).await?) {
            let message = "You have specified two resources that belong to different networks.";
            return Err(Refusal::new("InvalidGroup.NotFound", message));
        }
        let words = rule.words();
        if !present.insert(rule) {
            let message = format!("the specified rule \"{words}\" already exists");
            return Err(Refusal::new("InvalidPermission.Duplicate", message));
        }
    }
    Ok(())
}

/// Revokes rules, whatever their descriptions.
///
/// # Errors
/// The group has no such rule.
pub(super) async fn revoke(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let Some(id) = request.form_value("GroupId") else { return Ok(proxy.upstream.forward(request).await) };
    existing(proxy, request, id).await?;
    let present = rules(proxy, request, id).await;
    let mut doomed = Vec::new();
    for rule in Form::of(request).values("SecurityGroupRuleId") {
        if !present.iter().any(|(id, _)| id == rule) {
            let message = format!("The security group rule ID '{rule}' does not exist");
            return Err(Refusal::new("InvalidSecurityGroupRuleId.NotFound", message));
        }
        doomed.push(rule.to_owned());
    }
    for rule in asked(request) {
        let Some((id, _)) = present.iter().find(|(_, present)| *present == rule) else {
            let message = "The specified rule does not exist in this security group.";
            return Err(Refusal::new("InvalidPermission.NotFound", message));
        };
        doomed.push(id.clone());
    }
    let mut form: Vec<(String, String)> = request
        .form
        .iter()
        .filter(|(name, _)| ["Action", "Version", "GroupId"].contains(&name.as_str()))
        .cloned()
        .collect();
    form.extend(doomed.into_iter().enumerate().map(|(at, id)| (format!("SecurityGroupRuleId.{}", at + 1), id)));
    Ok(proxy.upstream.forward(&request.with_form(form)).await)
}

/// A group's rules in the direction of a call, with their ids.
async fn rules(proxy: &Proxy, request: &Request, id: &str) -> Vec<(String, Rule)> {
    let form = [("Action", "DescribeSecurityGroupRules"), ("Filter.1.Name", "group-id"), ("Filter.1.Value.1", id)];
    let listed = items(&ask(proxy, &request.region, &form).await, "securityGroupRuleSet");
    let egress = request.operation.ends_with("Egress").to_string();
    let ours = listed.iter().filter(|rule| value(rule, "isEgress") == egress);
    ours.map(|rule| (value(rule, "securityGroupRuleId"), Rule::listed(rule))).collect()
}

/// The rules that a call asks for.
fn asked(request: &Request) -> Vec<Rule> {
    let form = Form::of(request);
    let mut asked = Vec::new();
    let permissions = form.list("IpPermissions");
    for permission in &permissions {
        let text = |name: &str| permission.value(name).unwrap_or_default();
        for (list, member) in [
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("Groups", "GroupId"),
            ("PrefixListIds", "PrefixListId"),
        ] {
            let peers = permission.list(list).into_iter().filter_map(|peer| peer.value(member));
            asked.extend(peers.map(|peer| Rule::new(text("IpProtocol"), text("FromPort"), text("ToPort"), peer)));
        }
    }
    // The short form, for one range.
    if permissions.is_empty()
        && let Some(peer) = form.value("CidrIp")
    {
        let text = |name: &str| form.value(name).unwrap_or_default();
        asked.push(Rule::new(text("IpProtocol"), text("FromPort"), text("ToPort"), peer));
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::super::listing::parse;
    use super::*;
    use crate::form::request;

    #[test]
    fn a_rule_is_the_same_whatever_its_description() {
        let asked = asked(&request(
            "ec2",
            "Action=AuthorizeSecurityGroupIngress&GroupId=sg-1&IpPermissions.1.IpProtocol=6&IpPermissions.1.FromPort=80\
             &IpPermissions.1.ToPort=80&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0&IpPermissions.1.IpRanges.1.Description=web\
             &IpPermissions.2.IpProtocol=-1&IpPermissions.2.Groups.1.GroupId=sg-2",
        ));
        let listed = parse(
            "<item><ipProtocol>tcp</ipProtocol><fromPort>80</fromPort><toPort>80</toPort><cidrIpv4>0.0.0.0/0</cidrIpv4></item>",
        );
        assert_eq!(asked.first(), listed.as_ref().map(Rule::listed).as_ref());
        assert_eq!(asked[0].words(), "peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW");
        assert_eq!(asked[1], Rule::new("-1", "", "", "sg-2"));
    }
}
