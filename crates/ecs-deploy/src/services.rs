//! The services that it is about, as ECS describes them.

use aws_sdk_ecs::types::Service;
use ecs_aws::deployment::{Ecs, short};
use ecs_aws::{Answer as _, deployment};
use ecs_core::{Error, Kind, Result};
use futures::future::join_all;

/// How many names DescribeServices takes
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>).
const NAMES: usize = 10;

/// Returns the services of these names, deleted ones included; missing ones are left out.
///
/// A missing service is a `MISSING` failure in a successful reply, not an error.
///
/// # Errors
/// Any refusal by ECS; [`Kind::NotFound`] when there is no such cluster.
pub async fn find(ecs: &Ecs, cluster: &str, names: &[String]) -> Result<Vec<Service>> {
    let some = names.chunks(NAMES).map(async |names| {
        let call = ecs.read.describe_services().cluster(cluster).set_services(Some(names.to_vec()));
        let reply = call.send().await.answer("ecs:DescribeServices")?;
        if let Some(failure) = reply.failures().iter().find(|failure| failure.reason() != Some("MISSING")) {
            let (arn, reason) = (failure.arn().unwrap_or_default(), failure.reason().unwrap_or_default());
            return Err(Error::other(format!("ECS cannot describe {arn}: {reason}")));
        }
        Ok(reply.services.unwrap_or_default())
    });
    let mut all = Vec::new();
    for services in join_all(some).await {
        all.extend(services?);
    }
    Ok(all)
}

/// Returns one service that can be deployed to.
///
/// # Errors
/// [`Kind::NotFound`] when it does not exist or is deleted; a service that ECS does not deploy itself.
pub async fn find_one(ecs: &Ecs, cluster: &str, name: &str) -> Result<Service> {
    let found = find(ecs, cluster, &[name.to_owned()]).await?.into_iter().next();
    check(found, cluster, name)
}

/// Returns a service if it can be deployed to.
///
/// # Errors
/// As [`find_one`].
pub fn check(found: Option<Service>, cluster: &str, name: &str) -> Result<Service> {
    let cluster = short(cluster);
    let Some(service) = found else {
        return Err(Error::new(Kind::NotFound, format!("there is no service {name} in the cluster {cluster}"))
            .hint("see the name and the region; ecs-svc makes the services of a stack file"));
    };
    if service.status() != Some("ACTIVE") {
        let status = service.status().unwrap_or("gone").to_ascii_lowercase();
        return Err(Error::new(Kind::NotFound, format!("the service {name} in the cluster {cluster} is {status}"))
            .hint("it was deleted; ecs-svc makes it again"));
    }
    match deployment::foreign_controller(&service) {
        Some((controller, hint)) => {
            Err(Error::other(format!("the service {name} is deployed by {controller}, not by ECS")).hint(hint))
        }
        None => Ok(service),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{DeploymentController, DeploymentControllerType};

    use super::*;

    #[test]
    fn what_cannot_be_deployed_to_is_named() {
        let service = |status: &str, controller| {
            let controller = DeploymentController::builder().r#type(controller).build().expect("complete");
            Service::builder().service_name("web").status(status).deployment_controller(controller).build()
        };
        let ecs = DeploymentControllerType::Ecs;
        assert!(check(Some(service("ACTIVE", ecs.clone())), "c", "web").is_ok());
        let cases = [
            (None, "there is no service web"),
            (Some(service("DRAINING", ecs)), "is draining"),
            (Some(service("ACTIVE", DeploymentControllerType::CodeDeploy)), "deployed by CODE_DEPLOY"),
        ];
        for (found, text) in cases {
            let error = check(found, "c", "web").expect_err(text);
            assert!(error.message().contains(text), "{error}");
        }
    }
}
