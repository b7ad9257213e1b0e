//! DB instances: what RDS refuses, and their deletion.

use super::member::{self, combination};
use super::{NAMESPACE, VERSION, engine_version, lifecycle, subnet_group};
use crate::answer::{Answer, text};
use crate::call::Request;
use crate::form::Form;
use crate::iam;
use crate::network;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// Statuses besides `available` in which an instance may be changed.
const MODIFIABLE: &[&str] = &["storage-full", "incompatible-parameters", "incompatible-option-group"];

/// Creates an instance of a version that there is; a major version alone means its newest minor.
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Answer {
    iam::ensure_service_linked_role(&proxy.upstream, "rds.amazonaws.com").await;
    let wanted = match (request.form_value("Engine"), request.form_value("EngineVersion")) {
        (Some("postgres"), Some(wanted)) => wanted,
        (Some(_) | None, _) => return proxy.upstream.forward(request).await,
    };
    match engine_version::resolve(wanted) {
        Some(full) => proxy.upstream.forward(&request.with_form_value("EngineVersion", &full)).await,
        None => {
            let message = format!("Cannot find version {wanted} for postgres");
            Refusal::new("InvalidParameterCombination", message).answer(request)
        }
    }
}

/// Checks an instance that is to be made.
pub(super) async fn check_creation(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    member::check_creation(&form)?;
    // A subnet group that is not there: moto says so.
    let Some(name) = form.value("DBSubnetGroupName") else { return Ok(()) };
    let Some(group) = subnet_group::describe(proxy, request, name).await else { return Ok(()) };
    let vpc = text(&group, "VpcId").unwrap_or_default();
    check_security_groups(proxy, request, vpc).await?;
    let public = form.value("PubliclyAccessible") == Some("true");
    if public && !network::has_internet_gateway(proxy, &request.region, vpc).await {
        let message = "Cannot create a publicly accessible DBInstance.  The specified VPC has no internet gateway \
                       attached.Update the VPC and then try again";
        return Err(Refusal::new("InvalidVPCNetworkStateFault", message));
    }
    Ok(())
}

/// Checks a change of an instance, and that it may be changed now.
pub(super) async fn check_change(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    let identifier = form.value("DBInstanceIdentifier").unwrap_or_default();
    let members = [("Action", "DescribeDBInstances"), ("DBInstanceIdentifier", identifier)];
    // An instance that is not there: moto says so.
    let Some(xml) = proxy.upstream.query("rds", &request.region, VERSION, &members).await.ok() else { return Ok(()) };
    check_state(proxy, request)?;
    member::check(&form)?;
    let present = text(&xml, "AllocatedStorage").and_then(|size| size.parse::<u32>().ok());
    let wanted = form.value("AllocatedStorage").and_then(|size| size.parse::<u32>().ok());
    if let (Some(present), Some(wanted)) = (present, wanted)
        && wanted < present
    {
        let message = format!("The allocated storage cannot be reduced from {present} to {wanted} GiB");
        return Err(combination(message));
    }
    check_security_groups(proxy, request, text(&xml, "VpcId").unwrap_or_default()).await
}

async fn check_security_groups(proxy: &Proxy, request: &Request, vpc: &str) -> Result<(), Refusal> {
    for id in Form::of(request).values("VpcSecurityGroupIds") {
        match network::security_group_vpc(proxy, &request.region, id).await {
            Some(own) if own == vpc || vpc.is_empty() => {}
            Some(own) => {
                return Err(combination(format!(
                    "The DB instance and EC2 security group are in different VPCs. The DB instance is in {vpc} and \
                     the EC2 security group is in {own}"
                )));
            }
            None => {
                let message = format!("Invalid security group , groupId= {id}, groupName=.");
                return Err(Refusal::new("InvalidParameterValue", message));
            }
        }
    }
    Ok(())
}

/// Refuses what an instance in the midst of something else does not take.
pub(super) fn check_state(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(identifier) = request.form_value("DBInstanceIdentifier") else { return Ok(()) };
    let Some(status) = lifecycle::status(proxy, &request.region, identifier) else { return Ok(()) };
    match request.operation.as_str() {
        "ModifyDBInstance" if !MODIFIABLE.contains(&status.as_str()) => {
            Err(Refusal::new("InvalidDBInstanceState", "Database instance is not in available state."))
        }
        "RebootDBInstance" | "StopDBInstance" | "StartDBInstance" => {
            Err(Refusal::new("InvalidDBInstanceState", format!("Instance {identifier} is not in available state.")))
        }
        "CreateDBSnapshot" => Err(no_snapshot(identifier)),
        _ => Ok(()),
    }
}

/// Deletes an instance: it is `deleting` for a while, and holds its subnet group and its security groups meanwhile.
pub(super) async fn delete(proxy: &Proxy, request: &Request) -> Answer {
    let Some(identifier) = request.form_value("DBInstanceIdentifier") else {
        return proxy.upstream.forward(request).await;
    };
    let form = [("Action", "DescribeDBInstances"), ("DBInstanceIdentifier", identifier)];
    let Some(xml) = proxy.upstream.query("rds", &request.region, VERSION, &form).await.ok() else {
        // moto refuses in RDS's own words.
        return proxy.upstream.forward(request).await;
    };
    let status = lifecycle::status(proxy, &request.region, identifier);
    if let Err(refusal) = check_deletion(request, &xml, status.as_deref()) {
        return refusal.answer(request);
    }
    if !lifecycle::deletion_takes_time(proxy) {
        return proxy.upstream.forward(request).await;
    }
    if let Some(snapshot) = request.form_value("FinalDBSnapshotIdentifier") {
        let form =
            [("Action", "CreateDBSnapshot"), ("DBInstanceIdentifier", identifier), ("DBSnapshotIdentifier", snapshot)];
        let reply = proxy.upstream.query("rds", &request.region, VERSION, &form).await;
        if !reply.status.is_success() {
            // The name is taken, or no name.
            let mut answer = Answer::query("CreateDBSnapshot", NAMESPACE, "");
            (answer.status, answer.body) = (reply.status, reply.body.into());
            return answer;
        }
    }
    lifecycle::deleting(proxy, request, identifier);
    let instance = text(&xml, "DBInstance").unwrap_or_default();
    Answer::query("DeleteDBInstance", NAMESPACE, &format!("<DBInstance>{instance}</DBInstance>"))
}

fn check_deletion(request: &Request, xml: &str, status: Option<&str>) -> Result<(), Refusal> {
    let identifier = request.form_value("DBInstanceIdentifier").unwrap_or_default();
    let skip = request.form_value("SkipFinalSnapshot") == Some("true");
    let snapshot = request.form_value("FinalDBSnapshotIdentifier");
    let wrong = match (skip, snapshot) {
        (true, Some(_)) => Some("FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is specified."),
        (false, None) => Some("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."),
        (true, None) | (false, Some(_)) => None,
    };
    if let Some(message) = wrong {
        return Err(combination(message));
    }
    member::check_identifier("FinalDBSnapshotIdentifier", snapshot)?;
    if status == Some("deleting") {
        let message = format!("Instance {identifier} is already being deleted.");
        return Err(Refusal::new("InvalidDBInstanceState", message));
    }
    if text(xml, "DeletionProtection") == Some("true") {
        let message = "Cannot delete protected DB Instance, please disable deletion protection and try again.";
        return Err(combination(message));
    }
    // In `failed`, `incompatible-restore` and `incompatible-network` RDS takes none for good (RDS API reference,
    // DeleteDBInstance), in `creating` and `modifying` not yet.
    let takes_snapshot = status.is_none_or(|status| MODIFIABLE.contains(&status));
    if snapshot.is_some() && !takes_snapshot {
        return Err(no_snapshot(identifier));
    }
    Ok(())
}

fn no_snapshot(identifier: &str) -> Refusal {
    let message = format!(
        "Cannot create a snapshot because the database instance {identifier} is not currently in the available state."
    );
    Refusal::new("InvalidDBInstanceState", message)
}
