//! What the services that stay run with right now: what the stack file no longer asks for may be among it, until they are
//! deployed anew.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{Service, TaskDefinition};
use ecs_core::{Error, Kind, Result, Stack};

use crate::error::Answer as _;
use crate::{Api, Session};

/// How many names DescribeServices takes.
const NAMES: usize = 10;

/// Roles, parameters and secrets that services of the stack file run with, each with such a service's name.
#[derive(Debug, Default)]
pub struct InUse {
    users: BTreeMap<String, String>,
}

impl InUse {
    /// Reads what runs, of every deployment that is going on; a cluster that does not exist uses nothing.
    ///
    /// # Errors
    /// Any refusal by ECS.
    pub async fn read(session: &Session, stack: &Stack) -> Result<Self> {
        let ecs = session.api(Client::new);
        let names: Vec<String> = stack.services.iter().map(|(key, service)| service.service_name(key)).collect();
        let mut used = Self::default();
        for names in names.chunks(NAMES) {
            let call = ecs.read.describe_services().cluster(stack.cluster_name()).set_services(Some(names.to_vec()));
            let services = match call.send().await.answer("ecs:DescribeServices") {
                Err(error) if error.kind() == Kind::NotFound => return Ok(used),
                reply => reply?.services.unwrap_or_default(),
            };
            for service in services.iter().filter(|service| service.status() == Some("ACTIVE")) {
                used.add_service(&ecs, service).await?;
            }
        }
        Ok(used)
    }

    /// Returns the service that uses a role or a secret by its ARN, if any does.
    pub fn of_arn(&self, arn: &str) -> Option<&str> {
        self.users.get(arn).map(String::as_str)
    }

    /// Returns the service that uses a parameter, if any does: a task definition names it by its name or its ARN.
    pub fn of_parameter(&self, name: &str) -> Option<&str> {
        let end = format!(":parameter/{}", name.trim_start_matches('/'));
        let used = self.users.iter().find(|(what, _)| *what == name || what.ends_with(&end));
        used.map(|(_, service)| service.as_str())
    }

    async fn add_service(&mut self, ecs: &Api<Client>, service: &Service) -> Result<()> {
        let name = service.service_name().unwrap_or_default();
        let balancers = service.load_balancers().iter().filter_map(|balancer| balancer.advanced_configuration());
        self.add(name, balancers.filter_map(|advanced| advanced.role_arn()));
        let going_on = service.deployments().iter().filter_map(|deployment| deployment.task_definition());
        for arn in going_on.chain(service.task_definition()).collect::<BTreeSet<_>>() {
            let reply = ecs.read.describe_task_definition().task_definition(arn).send().await;
            match reply.answer("ecs:DescribeTaskDefinition") {
                Ok(reply) => reply.task_definition.iter().for_each(|definition| self.add_definition(name, definition)),
                // One that has been deleted: its tasks run on, and nobody can tell with what.
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add_definition(&mut self, service: &str, definition: &TaskDefinition) {
        self.add(service, [definition.task_role_arn(), definition.execution_role_arn()].into_iter().flatten());
        for container in definition.container_definitions() {
            self.add(service, container.secrets().iter().map(|secret| secret.value_from()));
        }
    }

    fn add<'w>(&mut self, service: &str, what: impl Iterator<Item = &'w str>) {
        self.users.extend(what.map(|what| (what.to_owned(), service.to_owned())));
    }
}

/// ECS has no error code of its own for a task definition that does not exist.
fn is_absent(error: &Error) -> bool {
    error.code() == Some("ClientException") && error.message().contains("Unable to describe task definition")
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{ContainerDefinition, Secret};

    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_name_and_by_its_arn() {
        let secret = |from: &str| Secret::builder().name("X").value_from(from).build().expect("both are there");
        let container = ContainerDefinition::builder()
            .secrets(secret("arn:aws:ssm:us-east-1:1:parameter/ecs/backend/DB_HOST"))
            .secrets(secret("/ecs/backend/DB_PORT"));
        let definition = TaskDefinition::builder().task_role_arn("arn:aws:iam::1:role/tasks");
        let mut used = InUse::default();
        used.add_definition("backend-service", &definition.container_definitions(container.build()).build());
        for name in ["/ecs/backend/DB_HOST", "/ecs/backend/DB_PORT"] {
            assert_eq!(used.of_parameter(name), Some("backend-service"), "{name}");
        }
        assert_eq!(used.of_parameter("/backend/DB_HOST"), None);
        assert_eq!(used.of_arn("arn:aws:iam::1:role/tasks"), Some("backend-service"));
        assert_eq!(used.of_arn("arn:aws:iam::1:role/other"), None);
    }
}
