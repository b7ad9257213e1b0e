//! Flow logs.

use ecs_pipe_tests::{Cloud, python};
use serde_json::json;

use crate::{TUTORIAL, assert_gone, assert_settled, count, made_new, overlay, pipe, prune};

const FLOW_LOGS: &str = "[net.flow_logs]\ntraffic = \"reject\"\nretention_days = 7\n";

/// Spoils the flow log's role, and the retention of its group.
const SPOIL: &str = r#"
import boto3, json
boto3.client('iam').delete_role_policy(RoleName='ecs-production-flow-logs', PolicyName='WriteFlowLog')
boto3.client('iam').update_assume_role_policy(RoleName='ecs-production-flow-logs', PolicyDocument=json.dumps({
    'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}))
boto3.client('logs').put_retention_policy(logGroupName='/vpc/ecs-production', retentionInDays=1)
"#;

#[tokio::test]
async fn a_flow_log_has_a_group_and_a_role_of_its_own_and_all_go_together() {
    let (without, with) = (made_new("").await, made_new(FLOW_LOGS).await);
    let flow_log = &with["flow_logs"][0];
    for (key, value) in [
        ("TrafficType", "REJECT"),
        ("LogGroupName", "/vpc/ecs-production"),
        ("of", "ecs-production-vpc"),
        ("role", "ecs-production-flow-logs"),
    ] {
        assert_eq!(flow_log[key], value, "{flow_log}");
    }
    let groups = with["log_groups"].as_array().expect("log groups");
    let group = groups.iter().find(|group| group["logGroupName"] == "/vpc/ecs-production").expect("the group");
    assert_eq!((&group["retentionInDays"], &group["tags"]["ecs-pipe:layer"]), (&json!(7), &json!("net")));

    let cloud = Cloud::start().await;
    pipe(&cloud, "", "").await.ok();
    pipe(&cloud, "", FLOW_LOGS).await.ok();
    cloud.assert_is(&with, "with a flow log").await;
    assert_settled(&cloud, FLOW_LOGS).await;
    let python = python().display().to_string();
    cloud.run(&python, &["-c", SPOIL], "").await.ok();
    pipe(&cloud, "", FLOW_LOGS).await.ok();
    cloud.assert_is(&with, "healed").await;
    // Nothing of it can be changed, so another one takes its place.
    let all = FLOW_LOGS.replace("reject", "all");
    pipe(&cloud, "", &all).await.ok();
    assert_eq!(cloud.inventory().await["flow_logs"][0]["TrafficType"], "ALL");
    assert_settled(&cloud, &all).await;

    // Another role is no reason for another place: the one of before goes with the flow log that told its name.
    let renamed = format!("{FLOW_LOGS}role = \"flows\"\n");
    pipe(&cloud, "", &renamed).await.ok();
    let inventory = cloud.inventory().await;
    assert_eq!((count(&inventory, "flow_logs"), count(&inventory, "roles")), (1, 1), "{inventory}");
    assert_settled(&cloud, &renamed).await;

    // In another place there is another flow log, and what the one of before has written stays until it is asked for.
    let moved = format!("{FLOW_LOGS}log_group = \"/flows\"\n");
    let told = pipe(&cloud, "", &moved).await.ok().stderr;
    assert!(told.contains("flow log ecs-production-flow-log (fl-"), "{told}");
    assert_eq!(count(&cloud.inventory().await, "flow_logs"), 2);
    prune(&cloud, &moved).await.ok();
    cloud.assert_is(&made_new(&moved).await, "with its log in another place").await;
    assert_settled(&cloud, &moved).await;
    pipe(&cloud, "", FLOW_LOGS).await.ok();
    let plan = pipe(&cloud, "plan", "").await.ok();
    assert_eq!(plan.stderr.matches("flow log ecs-production-flow-log (").count(), 2, "{}", plan.stderr);
    prune(&cloud, "").await.ok();
    cloud.assert_is(&without, "without a flow log").await;
    pipe(&cloud, "", FLOW_LOGS).await.ok();
    pipe(&cloud, "", &moved).await.ok();
    assert_gone(&cloud, "").await;
    assert_eq!(cloud.inventory().await["roles"], json!([]));
}

/// Makes a role and a log group of our names, without our tags.
const NAMESAKES: &str = r#"
import boto3, json
boto3.client('iam').create_role(RoleName='ecs-production-flow-logs', AssumeRolePolicyDocument=json.dumps({
    'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}),
    Description='Role for VPC flow logs - allows writing to their log group')
boto3.client('logs').create_log_group(logGroupName='/vpc/ecs-production')
"#;

#[tokio::test]
async fn a_role_and_a_group_of_the_same_names_are_somebody_elses_until_they_are_adopted() {
    let with = made_new(FLOW_LOGS).await;
    let cloud = Cloud::start().await;
    cloud.run(&python().display().to_string(), &["-c", NAMESAKES], "").await.ok();
    let refused = pipe(&cloud, "", FLOW_LOGS).await;
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("does not belong to this stack"), "{}", refused.stderr);
    let file = overlay(FLOW_LOGS);
    let path = file.path().display();
    let line = format!("export ECS_ADOPT=true; ecs-net {TUTORIAL} --stack {path} < /dev/null | ecs-sg");
    cloud.shell(&line).await.ok();
    cloud.assert_is(&with, "adopted").await;
    assert_gone(&cloud, FLOW_LOGS).await;
}

#[tokio::test]
async fn a_flow_log_into_a_bucket_needs_no_role() {
    let cloud = Cloud::start().await;
    let text = "[net.flow_logs]\nbucket_arn = \"arn:aws:s3:::flows\"\n";
    let refused = pipe(&cloud, "", text).await;
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("creating flow log ecs-production-flow-log"), "{}", refused.stderr);
    let python = python().display().to_string();
    let bucket = "import boto3; boto3.client('s3').create_bucket(Bucket='flows')";
    cloud.run(&python, &["-c", bucket], "").await.ok();
    pipe(&cloud, "", text).await.ok();
    let inventory = cloud.inventory().await;
    assert_eq!(inventory["flow_logs"][0]["LogDestination"], "arn:aws:s3:::flows");
    assert_eq!((&inventory["roles"], &inventory["log_groups"]), (&json!([]), &json!([])));
    assert_settled(&cloud, text).await;
    assert_gone(&cloud, text).await;
    let both = pipe(&cloud, "", &format!("{text}role = \"r\"\n")).await;
    assert!(both.stderr.contains("a bucket takes the place of CloudWatch Logs"), "{}", both.stderr);
}
