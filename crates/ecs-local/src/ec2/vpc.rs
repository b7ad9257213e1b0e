//! VPCs and subnets: their sizes, their zones, and how many there may be.

use ipnet::Ipv4Net;

use super::listing::{ask, value};
use super::refusal::Refusal;
use super::{existing, of_kind};
use crate::answer::{Answer, texts};
use crate::call::Request;
use crate::form::Form;
use crate::proxy::Proxy;

/// VPCs in a region, the default one included (VPC user guide, quotas).
const MOST: usize = 5;

/// The prefix lengths of VPCs and of subnets (EC2 API reference, CreateVpc and CreateSubnet).
const SIZES: std::ops::RangeInclusive<u8> = 16..=28;

/// What can be changed about a VPC.
const ATTRIBUTES: &[&str] = &["EnableDnsSupport", "EnableDnsHostnames", "EnableNetworkAddressUsageMetrics"];

/// Creates a VPC.
///
/// # Errors
/// Its range is none, or too large or small; there are enough.
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let request = with_range(request, "InvalidVpc.Range")?;
    if of_kind(proxy, &request, "DescribeVpcs", &[]).await.len() >= MOST {
        return Err(Refusal::new("VpcLimitExceeded", "The maximum number of VPCs has been reached."));
    }
    Ok(proxy.upstream.forward(&request).await)
}

/// Creates a subnet. moto checks that it lies in its VPC, and clear of the others.
///
/// # Errors
/// Its range is none, or too large or small; there is no such VPC or zone.
pub(super) async fn create_subnet(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let mut request = with_range(request, "InvalidSubnet.Range")?;
    if let Some(vpc) = request.form_value("VpcId") {
        existing(proxy, &request, vpc).await?;
    }
    let zones = ask(proxy, &request.region, &[("Action", "DescribeAvailabilityZones")]).await;
    let (names, ids) = (texts(&zones, "zoneName"), texts(&zones, "zoneId"));
    let wrong = |parameter: &str, zone: &str, known: &[&str]| {
        let message = format!(
            "Value ({zone}) for parameter {parameter} is invalid. Subnets can currently only be created in the following availability zones: {}.",
            known.join(", ")
        );
        Err(Refusal::new("InvalidParameterValue", message))
    };
    match (request.form_value("AvailabilityZone"), request.form_value("AvailabilityZoneId")) {
        (Some(name), _) if !names.contains(&name) => return wrong("availabilityZone", name, &names),
        (None, Some(id)) if !ids.contains(&id) => return wrong("availabilityZoneId", id, &ids),
        (Some(_), _) | (None, Some(_)) => {}
        // AWS chooses one; moto would take one of us-east-1.
        (None, None) => {
            let mut form = request.form.clone();
            form.extend(names.first().map(|zone| ("AvailabilityZone".to_owned(), (*zone).to_owned())));
            request = request.with_form(form);
        }
    }
    Ok(proxy.upstream.forward(&request).await)
}

/// Refuses to change two attributes of a VPC at once (EC2 API reference, ModifyVpcAttribute).
pub(super) fn modify_attribute(request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    let given = ATTRIBUTES.iter().filter(|attribute| form.within(attribute).value("Value").is_some());
    if given.count() > 1 {
        let message = "Fields for multiple attribute types specified";
        return Err(Refusal::new("InvalidParameterCombination", message));
    }
    Ok(())
}

/// The call with its range as AWS keeps it: 10.0.0.5/24 is 10.0.0.0/24 (EC2 API reference, CreateVpc and CreateSubnet).
fn with_range(request: &Request, code: &'static str) -> Result<Request, Refusal> {
    let Some(given) = request.form_value("CidrBlock") else { return Ok(request.clone()) };
    let range: Ipv4Net = given.parse().map_err(|_| {
        let message = format!("Value ({given}) for parameter cidrBlock is invalid. This is not a valid CIDR block.");
        Refusal::new("InvalidParameterValue", message)
    })?;
    if !SIZES.contains(&range.prefix_len()) {
        return Err(Refusal::new(code, format!("The CIDR '{given}' is invalid.")));
    }
    Ok(request.with_form_value("CidrBlock", &range.trunc().to_string()))
}

/// Whether two things are in the same VPC.
pub(super) fn same_vpc(one: &xmltree::Element, other: &xmltree::Element) -> bool {
    value(one, "vpcId") == value(other, "vpcId")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::request;

    #[test]
    fn a_range_is_kept_without_its_host_part() {
        let call = request("ec2", "Action=CreateVpc&CidrBlock=10.0.0.5%2F24");
        assert_eq!(with_range(&call, "x").expect("a range").form_value("CidrBlock"), Some("10.0.0.0/24"));
        for (range, code) in [
            ("10.0.0.0/8", "x"),
            ("10.0.0.0/29", "x"),
            ("10.0.0/24", "InvalidParameterValue"),
            ("", "InvalidParameterValue"),
        ] {
            let refusal = with_range(&call.with_form_value("CidrBlock", range), "x").expect_err("refused");
            assert_eq!(refusal.code(), code, "{range}");
        }
    }
}
