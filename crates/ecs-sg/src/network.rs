//! A look at the network that somebody else gives us, before anything is built on it.

use ecs_core::member::Net;
use ecs_core::{Error, Result, Stack};
use ecs_net::given;

use crate::Ec2;

/// Checks that the VPC can be used, that the subnets are in it and in two zones, and that their traffic has ways in and out.
///
/// Returns the ranges of the private subnets.
///
/// # Errors
/// What is wrong with the member `net`, all of it at once.
pub async fn check(ec2: &Ec2, net: &Net, stack: &Stack) -> Result<Vec<String>> {
    if net.vpc_id.is_planned() || net.private_subnet_ids.iter().any(|id| id.is_planned()) {
        return Ok(Vec::new());
    }
    let facts = given::look(ec2, net).await.map_err(|error| error.doing("checking the document's member `net`"))?;
    let wrong = facts.wrong(net, stack);
    if !wrong.is_empty() {
        return Err(Error::usage(format!("the document's member `net` does not fit: {}", wrong.join("; ")))
            .hint("correct its ids, or let ecs-net make a network"));
    }
    let private =
        net.private_subnet_ids.iter().filter_map(|id| facts.subnets.iter().find(|subnet| subnet.id == id.as_str()));
    Ok(private.map(|subnet| subnet.cidr.clone()).collect())
}
