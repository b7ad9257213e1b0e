//! What containers write to CloudWatch Logs.

use aws_sdk_cloudwatchlogs::Client;
use ecs_aws::{Answer as _, Api};
use ecs_core::Result;
use serde_json::Value;

use crate::aws::Aws;
use crate::definition::Definition;

/// How many of the last lines are shown.
const LAST: i32 = 20;

/// The log stream of one container of one task.
#[derive(Debug, Clone)]
pub struct Stream {
    logs: Api<Client>,
    group: String,
    name: String,
    token: Option<String>,
}

impl Stream {
    /// Returns a container's stream, if its log driver is awslogs and its name can be known:
    /// `PREFIX/CONTAINER/TASK`
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html>).
    pub fn of(aws: &Aws, definition: &Definition, container: &str, task: &str) -> Option<Self> {
        let log = &definition.container(container)?["logConfiguration"];
        if log["logDriver"].as_str() != Some("awslogs") {
            return None;
        }
        let option = |name: &str| log["options"][name].as_str();
        let (group, prefix) = (option("awslogs-group")?, option("awslogs-stream-prefix")?);
        let region = option("awslogs-region").filter(|region| !region.is_empty()).unwrap_or(&aws.region);
        let task = ecs_aws::deployment::short(task);
        let name = format!("{prefix}/{container}/{task}");
        Some(Self { logs: aws.logs(region), group: group.to_owned(), name, token: None })
    }

    /// Returns the last lines, oldest first; none where nothing was written.
    ///
    /// # Errors
    /// Any refusal by CloudWatch Logs but that there is no such stream.
    pub async fn last(&self) -> Result<Vec<String>> {
        let call = self.logs.read.get_log_events().log_group_name(&self.group).log_stream_name(&self.name);
        let reply = call.limit(LAST).start_from_head(false).send().await.answer_if_found("logs:GetLogEvents")?;
        Ok(lines(reply.and_then(|reply| reply.events)))
    }

    /// Returns the lines since the last time, oldest first.
    ///
    /// # Errors
    /// As [`Stream::last`].
    pub async fn next(&mut self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        loop {
            let call = self.logs.read.get_log_events().log_group_name(&self.group).log_stream_name(&self.name);
            let call = call.start_from_head(true).set_next_token(self.token.clone());
            let Some(reply) = call.send().await.answer_if_found("logs:GetLogEvents")? else { return Ok(all) };
            all.extend(lines(reply.events));
            // At the end the same token comes again
            // (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>).
            let end = reply.next_forward_token == self.token || reply.next_forward_token.is_none();
            self.token = reply.next_forward_token.or(self.token.take());
            if end {
                return Ok(all);
            }
        }
    }
}

fn lines(events: Option<Vec<aws_sdk_cloudwatchlogs::types::OutputLogEvent>>) -> Vec<String> {
    let messages = events.unwrap_or_default().into_iter().filter_map(|event| event.message);
    messages.map(|message| message.trim_end().to_owned()).collect()
}

/// Returns the names of the containers that have a log worth reading: those that failed, else all.
pub fn worth_reading(task: &aws_sdk_ecs::types::Task, definition: &Definition) -> Vec<String> {
    let failed = task.containers().iter().filter(|container| container.exit_code().is_some_and(|code| code != 0));
    let failed: Vec<String> = failed.filter_map(|container| container.name().map(str::to_owned)).collect();
    if !failed.is_empty() {
        return failed;
    }
    let name = |container: &Value| container["name"].as_str().map(str::to_owned);
    definition.containers().filter_map(name).collect()
}
