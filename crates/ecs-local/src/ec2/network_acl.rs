//! Network ACLs: rules that are well-formed, and associations that follow their subnets. moto takes any rule, and answers a
//! rule or an association that is not there with a page of HTML.

use ipnet::Ipv4Net;
use xmltree::Element;

use super::in_use::refuse;
use super::listing::{ask, value, values};
use super::refusal::Refusal;
use super::vpc::same_vpc;
use super::{existing, of_kind};
use crate::answer::{Answer, text};
use crate::call::Request;
use crate::proxy::Proxy;

/// Rules in each direction (VPC user guide, quotas).
const MOST: usize = 20;

/// The numbers that rules may have (EC2 API reference, CreateNetworkAclEntry).
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=32_766;

/// The number of the rule that denies the rest (VPC user guide, network ACL rules).
const LAST: &str = "32767";

/// The protocols that have a name (EC2 API reference, CreateNetworkAclEntry).
const PROTOCOLS: &[(&str, &str)] = &[("all", "-1"), ("icmp", "1"), ("tcp", "6"), ("udp", "17")];

/// Creates one: it denies everything.
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    if let Some(vpc) = request.form_value("VpcId") {
        existing(proxy, request, vpc).await?;
    }
    let answer = proxy.upstream.forward(request).await;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    for egress in ["true", "false"] {
        let Some(id) = text(&body, "networkAclId").filter(|_| answer.status.is_success()) else { break };
        let form = [
            ("Action", "CreateNetworkAclEntry"),
            ("NetworkAclId", id),
            ("RuleNumber", LAST),
            ("Protocol", "-1"),
            ("RuleAction", "deny"),
            ("Egress", egress),
            ("CidrBlock", "0.0.0.0/0"),
        ];
        ask(proxy, &request.region, &form).await;
    }
    Ok(answer)
}

/// Adds or replaces a rule.
///
/// # Errors
/// It is malformed; one of its number is there, or for a replacement is not; there are enough.
pub(super) async fn entry(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let request = canonical(request)?;
    let rules = rules(proxy, &request).await?;
    let there = rules.iter().any(|rule| is(rule, &request));
    let replaces = request.operation == "ReplaceNetworkAclEntry";
    if replaces && !there {
        return Err(missing(&request));
    }
    let same_way = |rule: &&Element| value(rule, "egress") == egress(&request) && value(rule, "ruleNumber") != LAST;
    if !replaces && !there && rules.iter().filter(same_way).count() >= MOST {
        let message = "The maximum number of network acl entries has been reached.";
        return Err(Refusal::new("NetworkAclEntryLimitExceeded", message));
    }
    Ok(proxy.upstream.forward(&request).await)
}

/// Refuses to delete a rule that is not there.
pub(super) async fn delete_entry(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    number(request)?;
    let there = rules(proxy, request).await?.iter().any(|rule| is(rule, request));
    if there { Ok(()) } else { Err(missing(request)) }
}

/// Refuses an association that is not there, and an ACL of another VPC.
pub(super) async fn associate(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let (id, acl) = (request.form_value("AssociationId").unwrap_or_default(), request.form_value("NetworkAclId"));
    let acl = existing(proxy, request, acl.unwrap_or_default()).await?;
    let filter = [("association.association-id", id)];
    let before = of_kind(proxy, request, "DescribeNetworkAcls", &filter).await;
    let Some(before) = before.first() else {
        let message = format!("The association ID '{id}' does not exist");
        return Err(Refusal::new("InvalidAssociationID.NotFound", message));
    };
    if !same_vpc(before, &acl) {
        let message =
            format!("Network ACL {} and association {id} belong to different networks", value(&acl, "networkAclId"));
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    Ok(())
}

/// An ACL stays while subnets have it, and a VPC's own always does.
pub(super) async fn delete(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let id = request.form_value("NetworkAclId").unwrap_or_default();
    let acl = existing(proxy, request, id).await?;
    if value(&acl, "default") == "true" {
        return Err(Refusal::new("InvalidParameterValue", format!("cannot delete default network ACL {id}")));
    }
    let associated = values(&acl, "associationSet/item/networkAclAssociationId");
    refuse(!associated.is_empty(), format!("The networkAcl '{id}' has dependencies and cannot be deleted."))
}

/// Lets a subnet that is about to go give its ACL back: moto would have the ACL in use for ever.
pub(super) async fn leave(proxy: &Proxy, request: &Request) {
    let Some(subnet) = request.form_value("SubnetId") else { return };
    let acls = of_kind(proxy, request, "DescribeNetworkAcls", &[("association.subnet-id", subnet)]).await;
    for acl in acls.iter().filter(|acl| value(acl, "default") != "true") {
        let vpc = value(acl, "vpcId");
        let own = of_kind(proxy, request, "DescribeNetworkAcls", &[("vpc-id", &vpc), ("default", "true")]).await;
        let Some(own) = own.first().map(|own| value(own, "networkAclId")) else { continue };
        let ids = values(acl, "associationSet/item/networkAclAssociationId");
        let subnets = values(acl, "associationSet/item/subnetId");
        for id in ids.iter().zip(&subnets).filter(|(_, of)| *of == subnet).map(|(id, _)| id) {
            let form =
                [("Action", "ReplaceNetworkAclAssociation"), ("AssociationId", id.as_str()), ("NetworkAclId", &own)];
            ask(proxy, &request.region, &form).await;
        }
    }
}

/// The rules of the ACL that a call is about.
async fn rules(proxy: &Proxy, request: &Request) -> Result<Vec<Element>, Refusal> {
    let id = request.form_value("NetworkAclId").unwrap_or_default();
    let acl = existing(proxy, request, id).await?;
    let entries = acl.get_child("entrySet").map(|set| set.children.clone()).unwrap_or_default();
    Ok(entries.iter().filter_map(|node| node.as_element().cloned()).collect())
}

/// Whether a rule is the one that a call is about.
fn is(rule: &Element, request: &Request) -> bool {
    let number = request.form_value("RuleNumber").unwrap_or_default();
    value(rule, "ruleNumber") == number && value(rule, "egress") == egress(request)
}

fn egress(request: &Request) -> &str {
    request.form_value("Egress").unwrap_or("false")
}

fn missing(request: &Request) -> Refusal {
    let (number, id) = (request.form_value("RuleNumber"), request.form_value("NetworkAclId"));
    let direction = if egress(request) == "true" { "egress" } else { "ingress" };
    let (number, id) = (number.unwrap_or_default(), id.unwrap_or_default());
    let message = format!("The {direction} entry with rule number {number} does not exist in network ACL {id}");
    Refusal::new("InvalidNetworkAclEntry.NotFound", message)
}

fn number(request: &Request) -> Result<(), Refusal> {
    let number = request.form_value("RuleNumber").unwrap_or_default();
    if number.parse().is_ok_and(|number: u32| NUMBERS.contains(&number)) {
        return Ok(());
    }
    let message = format!("Value ({number}) for parameter ruleNumber is invalid. Rule numbers go from 1 to 32766.");
    Err(Refusal::new("InvalidParameterValue", message))
}

/// The call as AWS keeps it: the protocol by its number, the range without its host part, and ports and ICMP types only where
/// they mean something (EC2 API reference, CreateNetworkAclEntry).
fn canonical(request: &Request) -> Result<Request, Refusal> {
    number(request)?;
    let given = request.form_value("Protocol").unwrap_or_default();
    let protocol = PROTOCOLS.iter().find(|(name, _)| *name == given.to_ascii_lowercase());
    let protocol = protocol.map_or(given, |(_, number)| number);
    let invalid = |parameter: &str, value: &str| {
        Refusal::new("InvalidParameterValue", format!("Value ({value}) for parameter {parameter} is invalid."))
    };
    if !(protocol == "-1" || protocol.parse::<u8>().is_ok()) {
        return Err(invalid("protocol", given));
    }
    let missing =
        |what: &str| Refusal::new("MissingParameter", format!("The request must contain the parameter {what}"));
    let port = |name: &str| -> Result<u16, Refusal> {
        let given = request.form_value(name).ok_or_else(|| missing(name))?;
        given.parse().map_err(|_| invalid(name, given))
    };
    let has_ports = ["6", "17"].contains(&protocol);
    if has_ports && port("PortRange.From")? > port("PortRange.To")? {
        return Err(invalid("portRange", "from is greater than to"));
    }
    if protocol == "1" && request.form_value("Icmp.Type").is_none() {
        return Err(missing("icmpTypeCode"));
    }
    let mut form = request.form.clone();
    form.retain(|(key, _)| has_ports || !key.starts_with("PortRange."));
    form.retain(|(key, _)| protocol == "1" || !key.starts_with("Icmp."));
    let request = request.with_form(form).with_form_value("Protocol", protocol);
    match (request.form_value("CidrBlock"), request.form_value("Ipv6CidrBlock")) {
        (Some(given), None) => {
            let range: Ipv4Net = given.parse().map_err(|_| invalid("cidrBlock", given))?;
            Ok(request.with_form_value("CidrBlock", &range.trunc().to_string()))
        }
        (None, Some(_)) => Ok(request),
        (Some(_), Some(_)) => {
            let message = "Only one of cidrBlock or ipv6CidrBlock can be specified";
            Err(Refusal::new("InvalidParameterCombination", message))
        }
        (None, None) => Err(missing("cidrBlock")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::request;

    #[test]
    fn a_rule_is_kept_in_its_canonical_form() {
        let call = request(
            "ec2",
            "Action=CreateNetworkAclEntry&RuleNumber=100&Protocol=tcp&CidrBlock=10.0.0.5%2F8&PortRange.From=80&PortRange.To=80\
             &Icmp.Type=8",
        );
        let kept = canonical(&call).expect("a rule");
        let value = |name| kept.form_value(name);
        assert_eq!((value("Protocol"), value("CidrBlock"), value("Icmp.Type")), (Some("6"), Some("10.0.0.0/8"), None));
        for (name, wrong, code) in [
            ("RuleNumber", "0", "InvalidParameterValue"),
            ("RuleNumber", LAST, "InvalidParameterValue"),
            ("Protocol", "gopher", "InvalidParameterValue"),
            ("CidrBlock", "everywhere", "InvalidParameterValue"),
            ("PortRange.From", "81", "InvalidParameterValue"),
        ] {
            let refusal = canonical(&call.with_form_value(name, wrong)).expect_err("refused");
            assert_eq!(refusal.code(), code, "{name}={wrong}");
        }
        let ping = request("ec2", "Action=CreateNetworkAclEntry&RuleNumber=100&Protocol=1&CidrBlock=10.0.0.0%2F8");
        assert_eq!(canonical(&ping).expect_err("refused").code(), "MissingParameter");
    }
}
