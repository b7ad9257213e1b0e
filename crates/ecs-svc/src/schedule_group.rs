//! The group of the stack's schedules: it carries the tags, which a schedule itself cannot.

use std::time::Duration;

use aws_sdk_scheduler::types::{ScheduleGroupState, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::{Health, Identity, Owner, Resource, Result, Stack};

use crate::{LAYER, Scheduler};

/// A schedule group.
#[derive(Debug)]
pub struct ScheduleGroup {
    identity: Identity,
}

/// What EventBridge Scheduler says the group is.
#[derive(Debug, Clone)]
pub struct Live {
    arn: String,
    deleting: bool,
    new: bool,
}

impl ScheduleGroup {
    /// Makes the stack's group.
    pub fn new(stack: &Stack) -> Self {
        Self { identity: Identity::new(&stack.name, LAYER, stack.schedule_group()) }
    }

    fn tags(&self) -> Result<Vec<Tag>> {
        self.identity.try_tags(|key, value| Tag::builder().key(key).value(value).build())
    }
}

impl Resource for ScheduleGroup {
    type Api = Scheduler;
    type Live = Live;
    const KIND: &'static str = "schedule group";
    /// It exists at once; its deletion takes its schedules along.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const LINGERS: bool = true;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    fn planned(&self) -> Live {
        Live { arn: ecs_core::id::planned("schedule-group", &self.identity.name), deleting: false, new: true }
    }

    async fn find(&self, scheduler: &Scheduler) -> Result<Option<Live>> {
        let reply = scheduler.read.get_schedule_group().name(&self.identity.name).send().await;
        let Some(group) = reply.answer_if_found("scheduler:GetScheduleGroup")? else { return Ok(None) };
        let deleting = group.state() == Some(&ScheduleGroupState::Deleting);
        Ok(Some(Live { arn: group.arn.unwrap_or_default(), deleting, new: false }))
    }

    async fn create(&self, scheduler: &Scheduler) -> Result<Live> {
        let call = scheduler.write.create_schedule_group().name(&self.identity.name).set_tags(Some(self.tags()?));
        let reply = call.send().await.answer("scheduler:CreateScheduleGroup")?;
        let arn = present(Some(reply.schedule_group_arn), "scheduler:CreateScheduleGroup", "the group's ARN")?;
        Ok(Live { arn, deleting: false, new: true })
    }

    /// Deletes the group with all its schedules.
    async fn delete(&self, scheduler: &Scheduler, live: &Live) -> Result<()> {
        if !live.deleting {
            let call = scheduler.write.delete_schedule_group().name(&self.identity.name);
            call.send().await.answer("scheduler:DeleteScheduleGroup")?;
        }
        Ok(())
    }

    fn health(&self, live: &Live) -> Health {
        if live.deleting { Health::Leaving("being deleted".to_owned()) } else { Health::Ready }
    }

    fn owner(&self, live: &Live) -> Owner {
        if live.new { Owner::Ours } else { Owner::Unread }
    }

    async fn read_owner(&self, scheduler: &Scheduler, live: &Live) -> Result<Owner> {
        let reply = scheduler.read.list_tags_for_resource().resource_arn(&live.arn).send().await;
        let tags = reply.answer("scheduler:ListTagsForResource")?.tags.unwrap_or_default();
        Ok(self.identity.owner(tags.iter().map(|tag| (tag.key(), tag.value()))))
    }

    async fn adopt(&self, scheduler: &Scheduler, live: &Live) -> Result<()> {
        let call = scheduler.write.tag_resource().resource_arn(&live.arn).set_tags(Some(self.tags()?));
        call.send().await.answer("scheduler:TagResource")?;
        Ok(())
    }
}
