//! EC2 in front of moto: as late as AWS, as slow, and as strict.

mod address;
mod consistency;
mod filter;
mod flow_log;
mod in_use;
mod interface;
mod internet_gateway;
mod kind;
mod life;
mod listing;
mod nat_gateway;
mod network_acl;
mod refusal;
mod route_table;
mod security_group;
mod tag;
mod tokens;
mod vpc;
mod vpc_endpoint;

use xmltree::Element;

pub(crate) use interface::owners_changed;
use kind::Kind;
use life::Lives;
use refusal::Refusal;
use tokens::Tokens;

use crate::answer::Answer;
use crate::call::Request;
use crate::failures::Failures;
use crate::proxy::Proxy;

/// What moto does not know about EC2.
#[derive(Debug, Default)]
pub(crate) struct State {
    tokens: Tokens,
    nat_gateways: Lives,
    endpoints: Lives,
    interfaces: interface::Interfaces,
    failures: Failures,
    /// Held by a call that writes: what it checks stays so until it has acted.
    turn: tokio::sync::Mutex<()>,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.tokens.clear();
        self.nat_gateways.clear();
        self.endpoints.clear();
        self.interfaces.clear();
        self.failures.clear();
    }
}

/// Answers a call to EC2.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let answered = if request.operation.starts_with("Describe") || request.operation.starts_with("Get") {
        read(proxy, request).await
    } else {
        let _turn = proxy.ec2.turn.lock().await;
        once(proxy, request).await
    };
    answered.unwrap_or_else(|refusal| refusal.answer(request))
}

async fn read(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    consistency::visible(proxy, request)?;
    nat_gateway::settle(proxy).await;
    vpc_endpoint::settle(proxy).await;
    let items = match request.operation.as_str() {
        "DescribeNatGateways" => nat_gateway::all(proxy, &request.region).await,
        "DescribeVpcEndpoints" => vpc_endpoint::all(proxy, &request.region).await,
        "DescribeNetworkInterfaces" => interface::all(proxy, &request.region).await,
        "DescribeRouteTables" => {
            let answer = consistency::describe(proxy, request).await;
            return Ok(route_table::with_blackholes(proxy, request, answer).await);
        }
        _ => return Ok(consistency::describe(proxy, request).await),
    };
    consistency::select(proxy, request, items)
}

/// Does what a call asks for, unless a call with the same token did.
async fn once(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    if let Some(answer) = proxy.ec2.tokens.answered(request)? {
        return Ok(answer);
    }
    consistency::visible(proxy, request)?;
    nat_gateway::settle(proxy).await;
    vpc_endpoint::settle(proxy).await;
    tag::check(request)?;
    let dying = consistency::dying(proxy, request).await;
    let answer = write(proxy, request).await?;
    if answer.status.is_success() {
        proxy.ec2.tokens.remember(request, &answer);
        consistency::made(proxy, request, &answer);
        if let Some(dying) = dying {
            consistency::deleted(proxy, request, dying);
        }
        let deleted = Kind::deleted_by(&request.operation).and_then(|kind| request.form_value(kind.parameter));
        if let Some(id) = deleted {
            proxy.ec2.tokens.forget(id);
        }
    }
    Ok(answer)
}

async fn write(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    match request.operation.as_str() {
        "CreateNatGateway" => return nat_gateway::create(proxy, request).await,
        "DeleteNatGateway" => return nat_gateway::delete(proxy, request).await,
        "CreateVpcEndpoint" => return vpc_endpoint::create(proxy, request).await,
        "ModifyVpcEndpoint" => return vpc_endpoint::modify(proxy, request).await,
        "DeleteVpcEndpoints" => return Ok(vpc_endpoint::delete(proxy, request).await),
        "CreateNetworkAcl" => return network_acl::create(proxy, request).await,
        "CreateNetworkAclEntry" | "ReplaceNetworkAclEntry" => return network_acl::entry(proxy, request).await,
        "CreateVpc" => return vpc::create(proxy, request).await,
        "CreateSubnet" => return vpc::create_subnet(proxy, request).await,
        "RevokeSecurityGroupIngress" | "RevokeSecurityGroupEgress" => {
            return security_group::revoke(proxy, request).await;
        }
        "ModifyVpcAttribute" => vpc::modify_attribute(request)?,
        "AllocateAddress" => address::allocate(proxy, request).await?,
        "ReleaseAddress" => address::release(proxy, request).await?,
        "CreateInternetGateway" => internet_gateway::create(proxy, request).await?,
        "AttachInternetGateway" => internet_gateway::attach(proxy, request).await?,
        "DetachInternetGateway" => internet_gateway::detach(proxy, request).await?,
        "DeleteInternetGateway" => internet_gateway::delete(proxy, request).await?,
        "CreateRoute" | "ReplaceRoute" => route_table::route(proxy, request).await?,
        "DeleteRoute" => route_table::delete_route(proxy, request).await?,
        "AssociateRouteTable" => route_table::associate(proxy, request).await?,
        "DisassociateRouteTable" => route_table::disassociate(proxy, request).await?,
        "DeleteRouteTable" => route_table::delete(proxy, request).await?,
        "DeleteNetworkAclEntry" => network_acl::delete_entry(proxy, request).await?,
        "ReplaceNetworkAclAssociation" => network_acl::associate(proxy, request).await?,
        "DeleteNetworkAcl" => network_acl::delete(proxy, request).await?,
        "CreateFlowLogs" => flow_log::create(proxy, request).await?,
        "DeleteFlowLogs" => flow_log::delete(proxy, request),
        "CreateSecurityGroup" => security_group::create(proxy, request).await?,
        "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => {
            security_group::authorize(proxy, request).await?;
        }
        "DeleteSecurityGroup" => in_use::security_group(proxy, request).await?,
        "DeleteSubnet" => in_use::subnet(proxy, request).await?,
        "DeleteVpc" => in_use::vpc(proxy, request).await?,
        "DeleteNetworkInterface" => in_use::interface(proxy, request).await?,
        _ => {}
    }
    Ok(proxy.upstream.forward(request).await)
}

/// What moto has under an id.
///
/// # Errors
/// It has nothing.
async fn existing(proxy: &Proxy, request: &Request, id: &str) -> Result<Element, Refusal> {
    let found = listing::find(proxy, &request.region, id).await;
    found.ok_or_else(|| Kind::missing_of(request, id))
}

/// What moto has of a kind.
async fn of_kind(proxy: &Proxy, request: &Request, describe: &str, filters: &[(&str, &str)]) -> Vec<Element> {
    match Kind::listed_by(describe) {
        Some(kind) => listing::list(proxy, &request.region, kind, filters).await,
        None => Vec::new(),
    }
}
