//! The look at the DB instance that several share.

use std::cell::RefCell;
use std::rc::Rc;

use aws_sdk_rds::types::DbInstance;
use ecs_aws::Answer as _;
use ecs_core::{Listing, Result, Stack};

use crate::Rds;
use crate::status::DELETING;

/// The one look at the instance that several share.
#[derive(Debug)]
pub struct Sight {
    identifier: String,
    /// Replaced by another one to look again: what this run has just changed must not be answered by an earlier look
    seen: RefCell<Rc<Listing<Option<DbInstance>>>>,
}

impl Sight {
    /// Makes the look at the stack's instance.
    pub fn new(stack: &Stack) -> Self {
        Self { identifier: stack.db.identifier.clone(), seen: RefCell::default() }
    }

    /// Returns the instance's identifier.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Returns the instance if it exists; one that is being deleted does.
    ///
    /// # Errors
    /// Any refusal by RDS.
    pub async fn get(&self, rds: &Rds) -> Result<Rc<Option<DbInstance>>> {
        let look = async || {
            let reply = rds.read.describe_db_instances().db_instance_identifier(&self.identifier).send().await;
            let reply = reply.answer_if_found("rds:DescribeDBInstances")?;
            Ok(reply.and_then(|reply| reply.db_instances.unwrap_or_default().pop()))
        };
        let seen = Rc::clone(&self.seen.borrow());
        seen.get(look).await
    }

    /// Makes the next one look again.
    pub fn forget(&self) {
        self.seen.take();
    }
}

/// Says whether an instance has a master password that RDS does not keep itself.
pub fn keeps_its_own_password(instance: &DbInstance) -> bool {
    instance.master_user_secret().is_none() && instance.db_instance_status() != Some(DELETING)
}
