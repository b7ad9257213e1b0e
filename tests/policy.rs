//! Each tool's `policy` allows every call that it makes.

use std::collections::BTreeSet;

use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};
use serde_json::Value;

/// Returns the actions that a tool's policy allows.
async fn actions(cloud: &Cloud, tool: &str) -> BTreeSet<String> {
    let policy = cloud.run(tool, &["policy"], "").await.ok().json();
    let statements = policy["Statement"].as_array().expect("statements").iter();
    let list = |action: &Value| -> Vec<String> {
        let all = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
        all.iter().map(|action| action.as_str().expect("an action").to_owned()).collect()
    };
    statements.flat_map(|statement| list(&statement["Action"])).collect()
}

#[tokio::test]
async fn every_call_is_allowed_by_the_tools_own_policy() {
    let cloud = Cloud::start().await;
    let mut document = String::new();
    for (tools, verb) in [(TOOLS, None), (TOOLS, Some("plan")), (BACKWARDS, Some("destroy"))] {
        for tool in tools {
            cloud.take_calls();
            let stdin = if tool == "ecs-net" && verb.is_none() { String::new() } else { document.clone() };
            let arguments: Vec<&str> = verb.into_iter().chain(stdin.is_empty().then_some("--no-input")).collect();
            let outcome = cloud.run(tool, &arguments, &stdin).await.ok();
            let called: BTreeSet<String> =
                cloud.take_calls().iter().map(|call| format!("{}:{}", call.service, call.operation)).collect();
            assert!(!called.is_empty());
            let allowed = actions(&cloud, tool).await;
            let denied: Vec<_> = called.difference(&allowed).collect();
            assert!(denied.is_empty(), "{tool} {verb:?} calls what its policy does not allow: {denied:?}");
            if verb.is_none() {
                document = outcome.stdout;
            }
        }
    }
}
