//! EC2, where moto is wrong: client tokens, and deletes of what is in use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;

use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::proxy::Proxy;

const VERSION: &str = "2016-11-15";

/// Client tokens and what came of them.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// By region, operation and token.
    used: Mutex<HashMap<(String, String, String), Used>>,
    /// Held while a call with a token is under way: the same call may be there twice at once.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Used {
    form: Vec<(String, String)>,
    answer: Answer,
}

impl Tokens {
    /// Forgets all tokens.
    pub(crate) fn clear(&self) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets tokens whose resource is deleted.
    fn forget(&self, id: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, used| !String::from_utf8_lossy(&used.answer.body).contains(id));
    }
}

/// Answers a call to EC2.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    if let Some(token) = request.form_value("ClientToken").filter(|_| request.operation.starts_with("Create")) {
        return create_once(proxy, request, token).await;
    }
    let refusal = match request.operation.as_str() {
        "DeleteSecurityGroup" => security_group(proxy, request).await,
        "DeleteSubnet" => subnet(proxy, request).await,
        "DetachInternetGateway" => internet_gateway(proxy, request).await,
        "ReleaseAddress" => address(proxy, request).await,
        "DeleteVpc" => vpc(proxy, request).await,
        "DescribeNetworkInterfaces" => {
            // Those of tasks that started or stopped since the last call to ECS count as well.
            proxy.ecs.settle(&proxy.upstream).await;
            None
        }
        _ => None,
    };
    if let Some((code, message)) = refusal {
        return Answer::refuse(request, StatusCode::BAD_REQUEST, code, &message);
    }
    let answer = proxy.upstream.forward(request).await;
    if answer.status.is_success() {
        let deleted = match request.operation.as_str() {
            "DeleteNatGateway" => request.form_value("NatGatewayId"),
            "DeleteRouteTable" => request.form_value("RouteTableId"),
            "DeleteNetworkAcl" => request.form_value("NetworkAclId"),
            "DeleteVpcEndpoints" => request.form_value("VpcEndpointId.1"),
            _ => None,
        };
        if let Some(id) = deleted {
            proxy.tokens.forget(id);
        }
        if request.operation == "DeleteNatGateway" {
            release_interfaces(proxy, request).await;
        }
    }
    answer
}

/// Deletes the network interfaces of a deleted NAT gateway: moto leaves them in their subnet for ever.
async fn release_interfaces(proxy: &Proxy, request: &Request) {
    let id = request.form_value("NatGatewayId").unwrap_or_default();
    let gateways = ask(proxy, request, &[("Action", "DescribeNatGateways"), ("NatGatewayId.1", id)]).await;
    for interface in texts(&gateways, "networkInterfaceId") {
        let form = [("Action", "DeleteNetworkInterface"), ("NetworkInterfaceId", interface)];
        proxy.upstream.query("ec2", &request.region, VERSION, &form).await;
    }
}

/// Creates what the token has not created yet; a second call with it gets the first one's answer.
async fn create_once(proxy: &Proxy, request: &Request, token: &str) -> Answer {
    let _turn = proxy.tokens.turn.lock().await;
    let key = (request.region.clone(), request.operation.clone(), token.to_owned());
    let used = proxy.tokens.used.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    match used {
        Some(used) if used.form == request.form => used.answer,
        Some(_) => {
            let message =
                "A client token was used with different parameters than in the request that it was first used in.";
            Answer::refuse(request, StatusCode::BAD_REQUEST, "IdempotentParameterMismatch", message)
        }
        None => {
            let answer = proxy.upstream.forward(request).await;
            if answer.status.is_success() {
                let used = Used { form: request.form.clone(), answer: answer.clone() };
                proxy.tokens.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key, used);
            }
            answer
        }
    }
}

type Refusal = Option<(&'static str, String)>;

/// A group is in use by network interfaces (tasks, load balancers, databases) and by other groups' rules.
async fn security_group(proxy: &Proxy, request: &Request) -> Refusal {
    let id = request.form_value("GroupId")?;
    let refusal = Some(("DependencyViolation", format!("resource {id} has a dependent object")));
    proxy.ecs.settle(&proxy.upstream).await;
    let interfaces = [("Action", "DescribeNetworkInterfaces"), ("Filter.1.Name", "group-id"), ("Filter.1.Value.1", id)];
    let used = says(proxy, request, &interfaces, "<networkInterfaceId>").await
        || load_balancers(proxy, request).await.contains(&format!("<member>{id}</member>"))
        || databases(proxy, request).await.contains(&format!("<VpcSecurityGroupId>{id}<"));
    if used {
        return refusal;
    }
    for filter in ["ip-permission.group-id", "egress.ip-permission.group-id"] {
        let form = [("Action", "DescribeSecurityGroups"), ("Filter.1.Name", filter), ("Filter.1.Value.1", id)];
        let groups = ask(proxy, request, &form).await;
        // A rule that refers to its own group does not hold it.
        if texts(&groups, "securityGroupArn").iter().any(|arn| !arn.ends_with(id)) {
            return refusal;
        }
    }
    None
}

/// A subnet is in use by network interfaces: those of tasks, NAT gateways, load balancers and databases.
async fn subnet(proxy: &Proxy, request: &Request) -> Refusal {
    let id = request.form_value("SubnetId")?;
    proxy.ecs.settle(&proxy.upstream).await;
    let gateways = [("Action", "DescribeNatGateways"), ("Filter.1.Name", "subnet-id"), ("Filter.1.Value.1", id)];
    let interfaces =
        [("Action", "DescribeNetworkInterfaces"), ("Filter.1.Name", "subnet-id"), ("Filter.1.Value.1", id)];
    let used = says(proxy, request, &gateways, "<state>available</state>").await
        || says(proxy, request, &interfaces, "<networkInterfaceId>").await
        || load_balancers(proxy, request).await.contains(&format!("<SubnetId>{id}</SubnetId>"))
        || databases(proxy, request).await.contains(&format!("<SubnetIdentifier>{id}<"));
    used.then(|| ("DependencyViolation", format!("The subnet '{id}' has dependencies and cannot be deleted.")))
}

/// A gateway stays attached while something in the VPC has a public address through it.
async fn internet_gateway(proxy: &Proxy, request: &Request) -> Refusal {
    let vpc = request.form_value("VpcId")?;
    let gateways = [("Action", "DescribeNatGateways"), ("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc)];
    let balancers = load_balancers(proxy, request).await;
    let public = balancers
        .split("<LoadBalancerArn>")
        .any(|balancer| text(balancer, "VpcId") == Some(vpc) && text(balancer, "Scheme") == Some("internet-facing"));
    let used = public || says(proxy, request, &gateways, "<state>available</state>").await;
    used.then(|| {
        let message = format!(
            "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway."
        );
        ("DependencyViolation", message)
    })
}

/// An address is in use by a NAT gateway.
async fn address(proxy: &Proxy, request: &Request) -> Refusal {
    let id = request.form_value("AllocationId")?;
    let gateways = ask(proxy, request, &[("Action", "DescribeNatGateways")]).await;
    let used = gateways.split("<createTime>").any(|gateway| {
        gateway.contains(&format!("<allocationId>{id}</allocationId>")) && gateway.contains("<state>available</state>")
    });
    used.then(|| ("InvalidIPAddress.InUse", format!("Address with allocation id {id} is in use.")))
}

/// A VPC goes last: after its gateways and its groups. Subnets and route tables moto checks itself.
async fn vpc(proxy: &Proxy, request: &Request) -> Refusal {
    let id = request.form_value("VpcId")?;
    let gateways =
        [("Action", "DescribeInternetGateways"), ("Filter.1.Name", "attachment.vpc-id"), ("Filter.1.Value.1", id)];
    let groups = ask(
        proxy,
        request,
        &[("Action", "DescribeSecurityGroups"), ("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", id)],
    )
    .await;
    let own = texts(&groups, "groupName").iter().any(|&name| name != "default");
    let used = own || says(proxy, request, &gateways, "<internetGatewayId>").await;
    used.then(|| ("DependencyViolation", format!("The vpc '{id}' has dependencies and cannot be deleted.")))
}

async fn says(proxy: &Proxy, request: &Request, form: &[(&str, &str)], what: &str) -> bool {
    ask(proxy, request, form).await.contains(what)
}

async fn ask(proxy: &Proxy, request: &Request, form: &[(&str, &str)]) -> String {
    proxy.upstream.query("ec2", &request.region, VERSION, form).await.ok().unwrap_or_default()
}

async fn load_balancers(proxy: &Proxy, request: &Request) -> String {
    let form = [("Action", "DescribeLoadBalancers")];
    proxy.upstream.query("elasticloadbalancing", &request.region, "2015-12-01", &form).await.ok().unwrap_or_default()
}

async fn databases(proxy: &Proxy, request: &Request) -> String {
    let form = [("Action", "DescribeDBInstances")];
    proxy.upstream.query("rds", &request.region, "2014-10-31", &form).await.ok().unwrap_or_default()
}
