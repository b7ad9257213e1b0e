//! What ELBv2 refuses about load balancers.

use std::collections::BTreeSet;

use super::describe;
use super::invalid;
use crate::answer::texts;
use crate::call::Request;
use crate::form::Form;
use crate::network::{self, Subnet};
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// The most characters of a name.
const NAME: usize = 32;

/// Attributes whose values are numbers, and their ranges (ELBv2 API reference, LoadBalancerAttribute).
const NUMBERS: &[(&str, std::ops::RangeInclusive<u32>)] =
    &[("idle_timeout.timeout_seconds", 1..=4000), ("client_keep_alive.seconds", 60..=604_800)];

/// Checks a load balancer that is to be made.
pub(super) async fn check(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    check_name(form.value("Name").unwrap_or_default())?;
    if form.value("Type").unwrap_or("application") != "application" {
        return Ok(());
    }
    let vpc = check_subnets(proxy, request).await?;
    check_security_groups(proxy, request, &vpc).await?;
    let internal = form.value("Scheme") == Some("internal");
    if !internal && !network::has_internet_gateway(proxy, &request.region, &vpc).await {
        return Err(Refusal::new("InvalidSubnet", format!("VPC {vpc} has no internet gateway")));
    }
    Ok(())
}

/// Checks the subnets or the security groups that a load balancer is to have instead.
pub(super) async fn check_change(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(arn) = request.form_value("LoadBalancerArn") else { return Ok(()) };
    let form = [("Action", "DescribeLoadBalancers"), ("LoadBalancerArns.member.1", arn)];
    let Some(xml) = describe(proxy, &request.region, &form).await else { return Ok(()) };
    let vpc = texts(&xml, "VpcId").first().map(|vpc| (*vpc).to_owned()).unwrap_or_default();
    if request.operation == "SetSecurityGroups" {
        return check_security_groups(proxy, request, &vpc).await;
    }
    let wanted = check_subnets(proxy, request).await?;
    if wanted == vpc { Ok(()) } else { Err(other_vpc([&vpc, &wanted])) }
}

/// Checks a load balancer that is to be deleted. One that is gone is no error (ELBv2 API reference).
pub(super) async fn check_deletion(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(arn) = request.form_value("LoadBalancerArn") else { return Ok(()) };
    let form = [("Action", "DescribeLoadBalancerAttributes"), ("LoadBalancerArn", arn)];
    let xml = describe(proxy, &request.region, &form).await.unwrap_or_default();
    let protected = texts(&xml, "member").into_iter().any(|attribute| {
        attribute.contains("<Key>deletion_protection.enabled</Key>") && attribute.contains("<Value>true</Value>")
    });
    if protected {
        let message = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    Ok(())
}

/// Checks attributes that are to be set.
pub(super) fn check_attributes(request: &Request) -> Result<(), Refusal> {
    for attribute in Form::of(request).list("Attributes") {
        let (Some(key), Some(value)) = (attribute.value("Key"), attribute.value("Value")) else { continue };
        let Some((_, range)) = NUMBERS.iter().find(|(number, _)| *number == key) else { continue };
        if !value.parse().is_ok_and(|value: u32| range.contains(&value)) {
            let (least, most) = (range.start(), range.end());
            return Err(invalid(format!("'{key}' value '{value}' must be between '{least}-{most}' inclusive")));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let wrong = if name.is_empty() {
        "can't be empty"
    } else if name.len() > NAME {
        "cannot be longer than '32' characters"
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        "can only contain characters that are alphanumeric characters or hyphens(-)"
    } else if name.starts_with('-') || name.ends_with('-') {
        "cannot begin or end with '-'"
    } else if name.starts_with("internal-") {
        "cannot begin with 'internal-'"
    } else {
        return Ok(());
    };
    Err(invalid(format!("Load balancer name '{name}' {wrong}")))
}

/// Checks the subnets of a call, and returns their VPC.
async fn check_subnets(proxy: &Proxy, request: &Request) -> Result<String, Refusal> {
    let form = Form::of(request);
    let mapped: Vec<&str> = form.list("SubnetMappings").iter().filter_map(|one| one.value("SubnetId")).collect();
    let named = form.values("Subnets");
    if !mapped.is_empty() && !named.is_empty() {
        return Err(invalid("You must specify either subnets or subnet mappings, not both"));
    }
    let mut subnets = Vec::new();
    for id in mapped.into_iter().chain(named) {
        let subnet = network::subnet(proxy, &request.region, id).await;
        let missing = || Refusal::new("SubnetNotFound", format!("The subnet ID '{id}' does not exist"));
        subnets.push(subnet.ok_or_else(missing)?);
    }
    check_zones(&subnets)
}

/// Checks that subnets are of one VPC, and of two zones or more, each of another; returns the VPC.
fn check_zones(subnets: &[Subnet]) -> Result<String, Refusal> {
    let zones: BTreeSet<&str> = subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
    let vpcs: BTreeSet<&String> = subnets.iter().map(|subnet| &subnet.vpc).collect();
    if vpcs.len() > 1 {
        return Err(other_vpc(vpcs));
    }
    match vpcs.into_iter().next() {
        Some(_) if zones.len() >= 2 && zones.len() < subnets.len() => Err(Refusal::new(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )),
        Some(vpc) if zones.len() >= 2 => Ok(vpc.clone()),
        Some(_) | None => Err(invalid("At least two subnets in two different Availability Zones must be specified")),
    }
}

fn other_vpc<'a>(vpcs: impl IntoIterator<Item = &'a String>) -> Refusal {
    let vpcs: Vec<&str> = vpcs.into_iter().map(String::as_str).collect();
    let message = format!("All subnets must belong to the same VPC: '{}'", vpcs.join(", "));
    Refusal::new("InvalidConfigurationRequest", message)
}

async fn check_security_groups(proxy: &Proxy, request: &Request, vpc: &str) -> Result<(), Refusal> {
    for id in Form::of(request).values("SecurityGroups") {
        match network::security_group_vpc(proxy, &request.region, id).await {
            Some(own) if own == vpc => {}
            Some(_) => {
                return Err(Refusal::new("InvalidConfigurationRequest", "One or more security groups are invalid"));
            }
            None => {
                let message = format!("The security group '{id}' does not exist");
                return Err(Refusal::new("InvalidSecurityGroup", message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for (name, good) in [
            ("web", true),
            ("", false),
            ("-web", false),
            ("web-", false),
            ("web_1", false),
            ("internal-web", false),
            ("internal", true),
            ("abcdefghijklmnopqrstuvwxyz012345", true),
            ("abcdefghijklmnopqrstuvwxyz0123456", false),
        ] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn subnets_are_of_one_vpc_and_of_two_zones() {
        let subnet = |vpc: &str, zone: &str| Subnet { vpc: vpc.to_owned(), zone: zone.to_owned() };
        let code = |subnets: &[Subnet]| check_zones(subnets).map_err(|refusal| refusal.code);
        assert_eq!(code(&[subnet("v", "a"), subnet("v", "b")]), Ok("v".to_owned()));
        assert_eq!(code(&[]), Err("ValidationError"));
        assert_eq!(code(&[subnet("v", "a"), subnet("v", "a")]), Err("ValidationError"));
        let three = [subnet("v", "a"), subnet("v", "a"), subnet("v", "b")];
        assert_eq!(code(&three), Err("InvalidConfigurationRequest"));
        assert_eq!(code(&[subnet("v", "a"), subnet("w", "b")]), Err("InvalidConfigurationRequest"));
    }
}
