//! What containers write: the awslogs driver brings it to CloudWatch Logs.

use serde_json::{Value, json};

use super::json::{list, text};
use super::launch::log_option;
use crate::upstream::Upstream;

/// What one container writes, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Log {
    pub(crate) container: String,
    /// Where the log group is, not always where the task is.
    region: String,
    group: String,
    /// The driver makes the group, if it is not there.
    makes_group: bool,
    /// `prefix/container/task-id` (developer guide, "Send Amazon ECS logs to CloudWatch", awslogs-stream-prefix).
    stream: String,
    pub(crate) lines: Vec<String>,
    /// When the first line was written, in milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
}

/// The logs of a task's containers that have the awslogs driver.
pub(crate) fn logs(content: &Value, task_id: &str, region: &str) -> Vec<Log> {
    let log = |container: &Value| {
        let name = text(container, "name")?;
        let prefix = log_option(container, "awslogs-stream-prefix");
        Some(Log {
            container: name.to_owned(),
            region: log_option(container, "awslogs-region").unwrap_or(region).to_owned(),
            group: log_option(container, "awslogs-group")?.to_owned(),
            makes_group: log_option(container, "awslogs-create-group") == Some("true"),
            // Without a prefix the stream has the name that Docker gives the container, which nobody knows beforehand.
            stream: prefix.map_or_else(|| format!("{task_id}-{name}"), |prefix| format!("{prefix}/{name}/{task_id}")),
            lines: Vec::new(),
            at_ms: 0,
        })
    };
    list(content, "containerDefinitions").iter().filter_map(log).collect()
}

/// Writes a log. The group may be gone by now, and nobody would learn of it in AWS either.
pub(crate) async fn write(log: &Log, upstream: &Upstream) {
    if log.makes_group {
        call(log, upstream, "CreateLogGroup", json!({"logGroupName": log.group})).await;
    }
    let stream = json!({"logGroupName": log.group, "logStreamName": log.stream});
    call(log, upstream, "CreateLogStream", stream.clone()).await;
    if log.lines.is_empty() {
        return;
    }
    // Line by line a millisecond later: readers sort by time.
    let event = |(at, line): (i64, &String)| json!({"timestamp": at, "message": line});
    let events: Value = (log.at_ms..).zip(&log.lines).map(event).collect();
    let mut request = stream;
    request["logEvents"] = events;
    call(log, upstream, "PutLogEvents", request).await;
}

async fn call(log: &Log, upstream: &Upstream, operation: &str, request: Value) {
    upstream.json("logs", &log.region, &format!("Logs_20140328.{operation}"), &request).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_after_prefix_container_and_task() {
        let options = json!({"awslogs-group": "/g", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "ecs"});
        let content = json!({"containerDefinitions": [
            {"name": "web", "logConfiguration": {"logDriver": "awslogs", "options": options}},
            {"name": "quiet"},
        ]});
        let logs = logs(&content, "abc", "us-east-1");
        assert_eq!(logs.len(), 1);
        assert_eq!((logs[0].stream.as_str(), logs[0].region.as_str()), ("ecs/web/abc", "eu-west-1"));
    }
}
