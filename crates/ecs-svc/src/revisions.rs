//! Task definition revisions, each read once: a revision never changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use aws_sdk_ecs::types::TaskDefinition;
use ecs_aws::{Answer as _, present};
use ecs_core::{Error, Result};

use crate::Ecs;

/// Remembers the revisions that were read or registered.
#[derive(Debug, Default)]
pub struct Revisions {
    known: RefCell<HashMap<String, Rc<TaskDefinition>>>,
}

impl Revisions {
    /// Returns a revision by its ARN; none when it has been deleted.
    pub async fn get(&self, ecs: &Ecs, arn: &str) -> Result<Option<Rc<TaskDefinition>>> {
        let known = self.known.borrow().get(arn).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let reply = ecs.read.describe_task_definition().task_definition(arn).send().await;
        match reply.answer("ecs:DescribeTaskDefinition") {
            Ok(reply) => {
                let definition = present(reply.task_definition, "ecs:DescribeTaskDefinition", "the task definition")?;
                Ok(Some(self.keep(definition)))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers a revision.
    pub fn keep(&self, definition: TaskDefinition) -> Rc<TaskDefinition> {
        let arn = definition.task_definition_arn().unwrap_or_default().to_owned();
        let definition = Rc::new(definition);
        self.known.borrow_mut().insert(arn, Rc::clone(&definition));
        definition
    }
}

/// Says whether ECS means that there is no such task definition: it has no error code of its own for that
/// (<https://github.com/sil-org/ecs-deploy/issues/145>).
pub fn is_absent(error: &Error) -> bool {
    error.code() == Some("ClientException") && error.message().contains("Unable to describe task definition")
}
