//! A look at the network that somebody else gives us, before anything is built on it.

use ecs_core::member::Net;
use ecs_core::{Error, Result, Stack};
use ecs_net::given;

use crate::Ec2;

/// Checks that the VPC can be used, that the subnets are in it and in two zones, and that their traffic has ways in and out.
///
/// # Errors
/// What is wrong with the member `net`, all of it at once.
pub async fn check(ec2: &Ec2, net: &Net, stack: &Stack) -> Result<()> {
    if net.vpc_id.is_planned() || net.private_subnet_ids.iter().any(|id| id.is_planned()) {
        return Ok(());
    }
    let facts = given::look(ec2, net).await;
    let wrong = facts.map_err(|error| error.doing("checking the document's member `net`"))?.wrong(net, stack);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Error::usage(format!("the document's member `net` does not fit: {}", wrong.join("; ")))
            .hint("correct its ids, or let ecs-net make a network"))
    }
}
