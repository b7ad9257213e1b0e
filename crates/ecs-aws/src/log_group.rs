//! A CloudWatch Logs group.

use std::collections::HashMap;
use std::time::Duration;

use ecs_core::{Change, Identity, Owner, Resource, Result};

use crate::{Answer as _, Api};

/// The client of CloudWatch Logs.
type Logs = Api<aws_sdk_cloudwatchlogs::Client>;

/// A log group, with how long its entries are kept.
#[derive(Debug)]
pub struct LogGroup {
    identity: Identity,
    retention_days: i32,
}

/// What CloudWatch Logs says the log group is.
#[derive(Debug, Clone)]
pub struct Live {
    /// ARN without the trailing `:*`, as the tagging calls want it; empty for one that was made a moment ago
    arn: String,
    /// Days; none keeps everything for ever
    retention_days: Option<i32>,
    new: bool,
}

impl LogGroup {
    /// Makes the log group of that name; its entries are kept for so many days.
    pub fn new(identity: Identity, retention_days: i32) -> Self {
        Self { identity, retention_days }
    }

    fn tags(&self) -> HashMap<String, String> {
        self.identity.tags(|key, value| (key.to_owned(), value.to_owned())).into_iter().collect()
    }
}

impl Resource for LogGroup {
    type Api = Logs;
    type Live = Live;
    const KIND: &'static str = "log group";
    /// It exists at once and is deleted at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        if live.arn.is_empty() { self.identity.name.clone() } else { live.arn.clone() }
    }

    fn planned(&self) -> Live {
        Live { arn: String::new(), retention_days: Some(self.retention_days), new: true }
    }

    /// Returns the log group of exactly that name: CloudWatch Logs finds by prefix only.
    async fn find(&self, logs: &Logs) -> Result<Option<Live>> {
        let call = logs.read.describe_log_groups().log_group_name_prefix(&self.identity.name);
        let mut pages = call.into_paginator().items().send();
        // The exact name sorts before all longer ones, so the first page has it.
        while let Some(group) = pages.next().await {
            let group = group.answer("logs:DescribeLogGroups")?;
            if group.log_group_name() == Some(&self.identity.name) {
                let arn = group.log_group_arn().or(group.arn()).unwrap_or_default();
                return Ok(Some(Live {
                    arn: arn.trim_end_matches(":*").to_owned(),
                    retention_days: group.retention_in_days,
                    new: false,
                }));
            }
        }
        Ok(None)
    }

    async fn create(&self, logs: &Logs) -> Result<Live> {
        let call = logs.write.create_log_group().log_group_name(&self.identity.name);
        call.set_tags(Some(self.tags())).send().await.answer("logs:CreateLogGroup")?;
        Ok(Live { arn: String::new(), retention_days: None, new: true })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let days = |days: Option<i32>| days.map_or("for ever".to_owned(), |days| format!("{days} days"));
        Change::of("retention", &days(live.retention_days), &days(Some(self.retention_days))).into_iter().collect()
    }

    async fn update(&self, logs: &Logs, _live: &Live, _changes: &[Change]) -> Result<()> {
        let call = logs.write.put_retention_policy().log_group_name(&self.identity.name);
        call.retention_in_days(self.retention_days).send().await.answer("logs:PutRetentionPolicy")?;
        Ok(())
    }

    async fn delete(&self, logs: &Logs, _live: &Live) -> Result<()> {
        let call = logs.write.delete_log_group().log_group_name(&self.identity.name);
        call.send().await.answer("logs:DeleteLogGroup")?;
        Ok(())
    }

    fn owner(&self, live: &Live) -> Owner {
        if live.new { Owner::Ours } else { Owner::Unread }
    }

    async fn read_owner(&self, logs: &Logs, live: &Live) -> Result<Owner> {
        let reply = logs.read.list_tags_for_resource().resource_arn(&live.arn).send().await;
        let tags = reply.answer("logs:ListTagsForResource")?.tags.unwrap_or_default();
        Ok(self.identity.owner(tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))))
    }

    async fn adopt(&self, logs: &Logs, live: &Live) -> Result<()> {
        let call = logs.write.tag_resource().resource_arn(&live.arn).set_tags(Some(self.tags()));
        call.send().await.answer("logs:TagResource")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_log_group_keeps_everything_until_it_is_told_otherwise() {
        let group = LogGroup::new(Identity::new("prod", "svc", "/ecs/frontend"), 30);
        let live = |retention_days| Live { arn: String::new(), retention_days, new: false };
        let cases = [
            (None, vec![Change::update("retention", "for ever", "30 days")]),
            (Some(7), vec![Change::update("retention", "7 days", "30 days")]),
            (Some(30), vec![]),
        ];
        for (days, changes) in cases {
            assert_eq!(group.diff(&live(days)), changes, "{days:?}");
        }
    }
}
