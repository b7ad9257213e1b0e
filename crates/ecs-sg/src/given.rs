//! Groups that somebody else has made: looked at, and never changed.

use ecs_core::id::{SecurityGroupId, VpcId};
use ecs_core::stack::SgGroup;
use ecs_core::{Error, Result, Run, Stack};

use crate::rule::{self, Rule};
use crate::security_group::{self, List};
use crate::wanted::Places;
use crate::{Ec2, LAYER};

/// A group that somebody else has made.
#[derive(Debug)]
pub struct Given {
    /// Its id
    pub id: SecurityGroupId,
    group: SgGroup,
    rules: Vec<Rule>,
}

impl Given {
    /// Looks at the group that the stack file names for a role; none where it names none.
    ///
    /// # Errors
    /// A group that does not exist, or is in another VPC.
    pub async fn look(ec2: &Ec2, stack: &Stack, vpc: &VpcId, group: SgGroup, list: &List) -> Result<Option<Self>> {
        let (key, Some(id)) = stack.sg.given(group) else { return Ok(None) };
        let groups = security_group::groups(ec2, vpc, None, list).await;
        let groups = groups.map_err(|error| error.doing(format!("reading security group {id}")))?;
        let Some(found) = groups.iter().find(|group| group.group_id() == Some(id)) else {
            return Err(Error::usage(format!("`{LAYER}.{key}`: the VPC {vpc} has no security group {id}"))
                .hint(format!("name a group of that VPC, or leave out `{key}`: ecs-sg then makes one")));
        };
        Ok(Some(Self { id: id.into(), group, rules: rule::all(found) }))
    }

    /// Says what the group does not let through although the stack needs it.
    pub fn warn(&self, run: &Run<'_>, stack: &Stack, places: &Places) {
        let needed = places.needed(stack, self.group);
        for rule in needed.iter().filter(|needed| !self.rules.iter().any(|rule| rule.covers(needed))) {
            run.console().warn(&format!(
                "security group {} (`{LAYER}.{}`) has no rule for {rule}: what needs it will not work",
                self.id,
                stack.sg.given(self.group).0
            ));
        }
    }
}
