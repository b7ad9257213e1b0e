//! Filters of describe calls, for what does not come out of moto as it is.

use xmltree::{Element, XMLNode};

use super::kind::Kind;
use super::listing::{value, values};
use super::refusal::Refusal;
use crate::call::Request;
use crate::form::Form;

/// The filters of calls that moto does not filter (botocore ec2 model).
const KNOWN: &[(&str, &[&str])] = &[
    ("DescribeNatGateways", &["nat-gateway-id", "state", "subnet-id", "tag-key", "vpc-id"]),
    (
        "DescribeVpcEndpoints",
        &[
            "ip-address-type",
            "service-name",
            "service-region",
            "tag-key",
            "vpc-id",
            "vpc-endpoint-id",
            "vpc-endpoint-state",
            "vpc-endpoint-type",
        ],
    ),
    (
        "DescribeNetworkInterfaces",
        &[
            "association.allocation-id",
            "association.association-id",
            "addresses.association.owner-id",
            "addresses.association.public-ip",
            "addresses.primary",
            "addresses.private-ip-address",
            "association.ip-owner-id",
            "association.public-ip",
            "association.public-dns-name",
            "attachment.attach-time",
            "attachment.attachment-id",
            "attachment.delete-on-termination",
            "attachment.device-index",
            "attachment.instance-id",
            "attachment.instance-owner-id",
            "attachment.status",
            "availability-zone",
            "availability-zone-id",
            "description",
            "group-id",
            // Not in the model any more, and still answered.
            "group-name",
            "ipv6-addresses.ipv6-address",
            "interface-type",
            "mac-address",
            "network-interface-id",
            "operator.managed",
            "operator.principal",
            "owner-id",
            "private-dns-name",
            "private-ip-address",
            "requester-id",
            "requester-managed",
            "source-dest-check",
            "status",
            "subnet-id",
            "tag-key",
            "vpc-id",
        ],
    ),
];

/// The filters of a describe call: names, and the values that are wanted.
#[derive(Debug)]
pub(super) struct Filters<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Filters<'a> {
    /// The filters of a call.
    pub(super) fn of(request: &'a Request) -> Filters<'a> {
        let filters = Form::of(request).list("Filter");
        Filters(filters.iter().filter_map(|filter| Some((filter.value("Name")?, filter.values("Value")))).collect())
    }

    /// Refuses filters that the call does not have.
    ///
    /// # Errors
    /// There is one.
    pub(super) fn check(&self, request: &Request) -> Result<(), Refusal> {
        let Some((_, known)) = KNOWN.iter().find(|(operation, _)| *operation == request.operation) else {
            return Ok(());
        };
        match self.0.iter().find(|(name, _)| !known.contains(name) && !name.starts_with("tag:")) {
            Some((name, _)) => Err(Refusal::new("InvalidParameterValue", format!("The filter '{name}' is invalid"))),
            None => Ok(()),
        }
    }

    /// Whether all filters let an item through.
    pub(super) fn pass(&self, kind: &Kind, item: &Element) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let present = present(kind, name, item);
            present.iter().any(|present| wanted.iter().any(|wanted| fits(wanted, present)))
        })
    }
}

/// The values that an item has for a filter.
fn present(kind: &Kind, name: &str, item: &Element) -> Vec<String> {
    if let Some(key) = name.strip_prefix("tag:") {
        let tags = item.get_child("tagSet").into_iter().flat_map(|tags| &tags.children);
        let tags = tags.filter_map(XMLNode::as_element).filter(|tag| value(tag, "key") == key);
        return tags.map(|tag| value(tag, "value")).collect();
    }
    paths(kind, name).iter().flat_map(|path| values(item, path)).collect()
}

/// Where the values of a filter stand in an item: as the filter is called, but for the exceptions.
fn paths(kind: &Kind, name: &str) -> Vec<String> {
    let exception = match (kind.set, name) {
        (_, "tag-key") => "tagSet/item/key",
        ("networkInterfaceSet", "group-id") => "groupSet/item/groupId",
        ("networkInterfaceSet", "group-name") => "groupSet/item/groupName",
        ("networkInterfaceSet", "private-ip-address" | "addresses.private-ip-address") => {
            "privateIpAddressesSet/item/privateIpAddress"
        }
        ("networkInterfaceSet", "addresses.primary") => "privateIpAddressesSet/item/primary",
        ("networkInterfaceSet", "addresses.association.public-ip") => "association/publicIp",
        ("networkInterfaceSet", "addresses.association.owner-id") => "association/ipOwnerId",
        ("networkInterfaceSet", "ipv6-addresses.ipv6-address") => "ipv6AddressesSet/item/ipv6Address",
        ("vpcEndpointSet", "vpc-endpoint-state") => "state",
        ("securityGroupInfo", "description") => "groupDescription",
        ("securityGroupInfo", "ip-permission.group-id") => "ipPermissions/item/groups/item/groupId",
        ("securityGroupInfo", "egress.ip-permission.group-id") => "ipPermissionsEgress/item/groups/item/groupId",
        ("securityGroupInfo", "ip-permission.cidr") => "ipPermissions/item/ipRanges/item/cidrIp",
        ("vpcSet" | "subnetSet", "cidr") => "cidrBlock",
        ("vpcSet", "cidr-block-association.state") => "cidrBlockAssociationSet/item/cidrBlockState/state",
        _ => "",
    };
    if !exception.is_empty() {
        return vec![exception.to_owned()];
    }
    match name.split_once('.') {
        Some((outer, inner)) => {
            let (outer, inner) = (camel(outer), camel(inner));
            vec![format!("{outer}/{inner}"), format!("{outer}Set/item/{inner}")]
        }
        None => vec![camel(name)],
    }
}

/// "vpc-id" as XML has it: "vpcId".
fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// Whether a value is wanted: `*` is any text, `?` any one character, and a backslash takes the next as it is.
fn fits(wanted: &str, present: &str) -> bool {
    let mut letters = wanted.chars();
    match letters.next() {
        None => present.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            present.char_indices().any(|(at, _)| fits(rest, &present[at..])) || fits(rest, "")
        }
        Some(first) => {
            let literal = if first == '\\' { letters.next().unwrap_or(first) } else { first };
            let mut given = present.chars();
            let same = given.next().is_some_and(|letter| letter == literal || first == '?');
            same && fits(letters.as_str(), given.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::parse;
    use super::*;

    fn item() -> Element {
        parse(
            "<item><internetGatewayId>igw-1</internetGatewayId><attachmentSet><item><vpcId>vpc-1</vpcId></item></attachmentSet>\
             <tagSet><item><key>Name</key><value>prod-igw</value></item><item><key>x</key><value>y</value></item></tagSet></item>",
        )
        .expect("an item")
    }

    #[test]
    fn a_filter_finds_its_value() {
        let kind = Kind::of("igw-1").expect("a kind");
        for (name, wanted, passes) in [
            ("internet-gateway-id", "igw-1", true),
            ("attachment.vpc-id", "vpc-1", true),
            ("attachment.vpc-id", "vpc-2", false),
            ("tag:Name", "prod-*", true),
            ("tag:Name", "y", false),
            ("tag-key", "x", true),
            ("no-such-filter", "*", false),
        ] {
            assert_eq!(Filters(vec![(name, vec!["-", wanted])]).pass(kind, &item()), passes, "{name}={wanted}");
        }
        assert!(Filters(Vec::new()).pass(kind, &item()));
    }

    #[test]
    fn wildcards_are_ec2s() {
        for (wanted, present, fit) in [
            ("a*c", "abc", true),
            ("a*", "a", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("ELB app/web/*", "ELB app/web/1", true),
        ] {
            assert_eq!(fits(wanted, present), fit, "{wanted} {present}");
        }
    }
}
