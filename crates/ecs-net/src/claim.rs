//! Which VPC is the stack's when two runs make one at the same moment.
//!
//! EC2 makes as many VPCs of one name as it is asked for, but takes a client token for one request only. So a new VPC is
//! claimed by the create call of its public route table, with a token that says nothing of the VPC: the run that comes
//! second is refused, and goes on with the VPC of the first.

use aws_sdk_ec2::types::{ResourceType, RouteTable};
use ecs_aws::{Answer as _, present};
use ecs_core::id::VpcId;
use ecs_core::{Identity, Result};

use crate::{Ec2, ec2};

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The VPC is the stack's: its public route table.
    Won(Box<RouteTable>),
    /// Another VPC of this stack was claimed in these minutes; it may have been deleted since.
    Lost,
}

/// Claims a VPC for the stack by making its public route table; to claim it again is no different.
///
/// `when` is the two minutes in which the VPC was made, and how many claims of these are known to be for VPCs that are gone.
///
/// # Errors
/// Any refusal by EC2 but that of a token that is taken.
pub async fn claim(ec2: &Ec2, table: &Identity, vpc: &VpcId, when: (&str, u32)) -> Result<Claim> {
    let call = ec2.write.create_route_table().vpc_id(vpc.as_str());
    let (minutes, round) = when;
    let call = call.client_token(table.token(&["claim", minutes, &round.to_string()]));
    let call = call.tag_specifications(ec2::tags(table, ResourceType::RouteTable));
    match call.send().await.answer("ec2:CreateRouteTable") {
        Ok(reply) => Ok(Claim::Won(Box::new(present(reply.route_table, "ec2:CreateRouteTable", "the route table")?))),
        // <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
        Err(error) if error.code() == Some("IdempotentParameterMismatch") => Ok(Claim::Lost),
        Err(error) => Err(error),
    }
}
