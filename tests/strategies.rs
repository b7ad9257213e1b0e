//! Services whose traffic ECS shifts: canary and blue/green, and the way there and back on a living stack.

use ecs_local::Weather;
use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS, overlay, python, root};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const CANARY: &str = "--stack tests/stacks/canary.toml";
/// Both services task by task, over the stack file.
const ROLLING: &str = "[services.web.deployment]\nstrategy = \"rolling\"\npercent = { remove = true }\nbake = { remove = true }\n\
                       [services.api.deployment]\nstrategy = \"rolling\"\nbake = { remove = true }\nalarms = { remove = true }\n";

/// Runs shift.py.
async fn shift(cloud: &Cloud, verb: &str) {
    let script = root().join("tests/shift.py").display().to_string();
    let arguments: Vec<&str> = std::iter::once(script.as_str()).chain(verb.split_whitespace()).collect();
    cloud.run(&python().display().to_string(), &arguments, "").await.ok();
    cloud.take_calls();
}

/// Does what somebody else does, in Python.
async fn run_python(cloud: &Cloud, script: &str) {
    cloud.run(&python().display().to_string(), &["-c", script], "").await.ok();
    cloud.take_calls();
}

/// Returns the arguments for the stack with an overlay.
fn with(overlay: &NamedTempFile) -> String {
    format!("{CANARY} --stack {}", overlay.path().display())
}

/// Checks that one more run writes nothing, and that a plan finds nothing to do.
async fn assert_settled(cloud: &Cloud, arguments: &str, when: &str) {
    cloud.take_calls();
    let again = cloud.pipe(&TOOLS, "", arguments).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{when}: {}", again.stderr);
    let plan = cloud.pipe(&TOOLS, "plan --exit-code", arguments).await;
    assert_eq!((plan.code, cloud.take_writes()), (0, Vec::new()), "{when}: {}", plan.stderr);
}

/// Checks that nothing of the stack is left.
async fn assert_gone(cloud: &Cloud, arguments: &str) {
    cloud.pipe(&BACKWARDS, "destroy", arguments).await.ok();
    cloud.assert_nothing_left("--stack canary").await;
}

/// Returns the item of a list in an inventory that has a member.
fn item<'i>(inventory: &'i Value, list: &str, member: &str, value: &str) -> &'i Value {
    let items = inventory[list].as_array().unwrap_or_else(|| panic!("{list}"));
    items.iter().find(|item| item[member] == value).unwrap_or(&Value::Null)
}

/// Returns the weights that a rule gives a service's first and second target group.
fn weights(inventory: &Value, priority: &str, service: &str) -> (i64, i64) {
    let weights = &item(inventory, "listener_rules", "priority", priority)["actions"][0]["weights"];
    let weight = |name: String| weights[&name].as_i64().unwrap_or(-1);
    (weight(format!("{service}-tg")), weight(format!("{service}-tg-alt")))
}

/// Returns how many targets each of a service's target groups has.
fn targets(inventory: &Value, service: &str) -> [usize; 2] {
    ["tg", "tg-alt"].map(|end| {
        let group = item(inventory, "target_groups", "TargetGroupName", &format!("{service}-{end}"));
        group["targets"].as_array().map_or(0, |targets| {
            targets.iter().filter(|target| !target.as_str().is_some_and(|target| target.contains("draining"))).count()
        })
    })
}

/// Checks that a service's requests go where its tasks are.
fn assert_reached(inventory: &Value, priority: &str, service: &str) {
    let ((one, other), targets) = (weights(inventory, priority, service), targets(inventory, service));
    assert!((one > 0) == (targets[0] > 0) && (other > 0) == (targets[1] > 0), "{service}: {one} {other} {targets:?}");
}

/// Has ECS deploy `web` until its second target group serves: each deployment goes to the other one.
async fn serve_from_second(cloud: &Cloud) {
    for _ in 0..3 {
        if weights(&cloud.inventory().await, "50000", "web").1 > 0 {
            return;
        }
        shift(cloud, "deploy web-service").await;
    }
    panic!("ECS does not change the target group: {:?}", weights(&cloud.inventory().await, "50000", "web"));
}

#[tokio::test]
async fn a_stack_whose_traffic_ecs_shifts_is_left_alone_after_it_has() {
    let cloud = Cloud::start().await;
    let made = cloud.pipe(&TOOLS, "", CANARY).await.ok().json();
    let role = "arn:aws:iam::123456789012:role/canaryInfrastructureRole";
    assert_eq!(made["iam"]["infrastructure_role_arn"], role);
    for member in ["alternate_target_group_arns", "production_rule_arns"] {
        assert_eq!(made["alb"][member].as_object().map(serde_json::Map::len), Some(2), "{member}");
    }
    let clean = cloud.inventory().await;
    for (priority, service) in [("50000", "web"), ("100", "api")] {
        assert_reached(&clean, priority, service);
    }
    let [web, api] = ["web-service", "api-service"].map(|name| item(&clean, "services", "serviceName", name));
    let configuration = |service: &Value, strategy: &str, alarms: &[&str]| {
        let configuration = &service["deploymentConfiguration"];
        assert_eq!(configuration["strategy"], strategy);
        assert_eq!(configuration["alarms"], json!({"alarmNames": alarms, "enable": true, "rollback": true}));
        assert_eq!(configuration["deploymentCircuitBreaker"], json!({"enable": false, "rollback": false}));
    };
    configuration(web, "CANARY", &["web-service-5xx", "web-service-unhealthy-hosts"]);
    configuration(api, "BLUE_GREEN", &["api-service-5xx"]);
    assert_eq!(
        web["deploymentConfiguration"]["canaryConfiguration"],
        json!({"canaryPercent": 25.0, "canaryBakeTimeInMinutes": 10})
    );
    assert_eq!(api["deploymentConfiguration"]["bakeTimeInMinutes"], 5);
    assert_eq!(
        web["load_balancers"],
        json!(["web-tg and web-tg-alt by rule 50000 as canaryInfrastructureRole → web:3000"])
    );
    let hosts = item(&clean, "alarms", "AlarmName", "web-service-unhealthy-hosts");
    assert_eq!((&hosts["Threshold"], &hosts["TreatMissingData"]), (&json!(1.0), &json!("notBreaching")));
    assert_eq!(item(hosts, "metrics", "Id", "e1")["Expression"], "MAX([m1, m2])");
    assert_eq!(hosts["tags"]["ecs-pipe:stack"], "canary");
    let role = item(&clean, "roles", "RoleName", "canaryInfrastructureRole");
    assert_eq!(role["trust"][0]["Principal"]["Service"], "ecs.amazonaws.com");
    assert_eq!(role["managed"], json!(["arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"]));

    assert_settled(&cloud, CANARY, "made").await;
    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    let alarms = cloud.take_calls().iter().filter(|call| call.service == "monitoring").count();
    assert_eq!(alarms, 1, "one look for all alarms");

    // What ECS needs may come from anywhere, but it must be there.
    for (layer, member) in [("iam", "infrastructure_role_arn"), ("alb", "production_rule_arns")] {
        let mut lacking = made.clone();
        lacking[layer].as_object_mut().expect("a layer").remove(member);
        let refused = cloud.run("ecs-svc", &[], &lacking.to_string()).await;
        assert!(refused.code == 2 && refused.stderr.contains(member), "{}", refused.stderr);
        assert_eq!(cloud.take_writes(), [""; 0]);
    }

    let mut before = clean;
    for _ in 0..2 {
        shift(&cloud, "deploy web-service api-service").await;
        let shifted = cloud.inventory().await;
        for (priority, service) in [("50000", "web"), ("100", "api")] {
            assert_reached(&shifted, priority, service);
            let [one, other] = targets(&before, service);
            assert_eq!(targets(&shifted, service), [other, one], "{service} is in the other target group");
        }
        assert_settled(&cloud, CANARY, "shifted").await;
        cloud.assert_is(&shifted, "a run after a shift").await;
        before = shifted;
    }
    assert_gone(&cloud, CANARY).await;
}

#[tokio::test]
async fn a_living_stack_changes_its_strategy_and_back_and_no_request_gets_lost() {
    let cloud = Cloud::start().await;
    let rolling = overlay(ROLLING);
    let rolling = with(&rolling);
    cloud.pipe(&TOOLS, "", &rolling).await.ok();
    let before = cloud.inventory().await;
    assert_eq!(item(&before, "target_groups", "TargetGroupName", "web-tg-alt"), &Value::Null);
    assert_eq!(item(&before, "listener_rules", "priority", "50000"), &Value::Null);
    assert_eq!(item(&before, "roles", "RoleName", "canaryInfrastructureRole"), &Value::Null);
    assert_eq!(before["alarms"], json!([]));
    assert_settled(&cloud, &rolling, "rolling").await;

    // The second target groups are made, and the rules lead to both: at first to the one that serves.
    cloud.pipe(&TOOLS[..6], "", CANARY).await.ok();
    let prepared = cloud.inventory().await;
    for (priority, service) in [("50000", "web"), ("100", "api")] {
        assert_eq!(weights(&prepared, priority, service), (1, 0), "{service}");
        assert_eq!(targets(&prepared, service), [2, 0], "{service}");
    }
    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    let shifting = cloud.inventory().await;
    for (priority, service) in [("50000", "web"), ("100", "api")] {
        assert_reached(&shifting, priority, service);
    }
    assert_settled(&cloud, CANARY, "from rolling to canary").await;

    // Back, wherever the traffic is: nothing moves, and from then on task by task in the same place.
    serve_from_second(&cloud).await;
    cloud.pipe(&TOOLS, "", &rolling).await.ok();
    let back = cloud.inventory().await;
    assert_eq!(item(&back, "services", "serviceName", "web-service")["deploymentConfiguration"]["strategy"], "ROLLING");
    for (priority, service) in [("50000", "web"), ("100", "api")] {
        assert_reached(&back, priority, service);
    }
    assert_settled(&cloud, &rolling, "from canary to rolling").await;
    shift(&cloud, "deploy web-service api-service").await;
    let deployed = cloud.inventory().await;
    for (priority, service) in [("50000", "web"), ("100", "api")] {
        assert_reached(&deployed, priority, service);
    }
    assert_settled(&cloud, &rolling, "deployed task by task").await;

    // A service that is made anew is made where the requests go.
    shift(&cloud, "delete web-service").await;
    cloud.pipe(&TOOLS, "", &rolling).await.ok();
    assert_reached(&cloud.inventory().await, "50000", "web");
    assert_settled(&cloud, &rolling, "made anew").await;

    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    assert_settled(&cloud, CANARY, "canary again").await;
    // The last file has neither second target groups nor alarms.
    assert_gone(&cloud, &rolling).await;
}

#[tokio::test]
async fn a_rule_that_somebody_deleted_comes_back_to_where_the_tasks_are() {
    let cloud = Cloud::start().await;
    let document = cloud.pipe(&TOOLS, "", CANARY).await.ok().stdout;
    serve_from_second(&cloud).await;
    shift(&cloud, "unrule 50000").await;
    cloud.run("ecs-alb", &[], &document).await.ok();
    assert_eq!(weights(&cloud.inventory().await, "50000", "web"), (0, 1));
    // ECS is told of the new rule, and deploys once more.
    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    assert_reached(&cloud.inventory().await, "50000", "web");
    assert_settled(&cloud, CANARY, "with another rule").await;
}

#[tokio::test]
async fn https_comes_to_services_that_have_shifted() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    serve_from_second(&cloud).await;
    let spoil = root().join("tests/spoil.py").display().to_string();
    let certificate = cloud.run(&python().display().to_string(), &[&spoil, "certificate"], "").await.ok().stdout;
    let https = overlay(&format!("[alb]\ncertificate_arn = \"{}\"\n", certificate.trim()));
    cloud.pipe(&TOOLS, "", &with(&https)).await.ok();
    let moved = cloud.inventory().await;
    let rules = moved["listener_rules"].as_array().expect("rules");
    assert!(rules.len() == 2 && rules.iter().all(|rule| rule["listener"] == 443), "{rules:#?}");
    for (priority, service) in [("50000", "web"), ("100", "api")] {
        assert_reached(&moved, priority, service);
    }
    assert_settled(&cloud, &with(&https), "with HTTPS").await;
}

#[tokio::test]
async fn alarms_are_healed_and_go_on_telling_whom_somebody_chose() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    shift(&cloud, "alarm web-service-5xx").await;
    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    let healed = cloud.inventory().await;
    let alarm = item(&healed, "alarms", "AlarmName", "web-service-5xx");
    assert_eq!((&alarm["Threshold"], &alarm["DatapointsToAlarm"]), (&json!(10.0), &json!(2)));
    assert_eq!(alarm["AlarmActions"], json!(["arn:aws:sns:us-east-1:123456789012:oncall"]));
    assert_settled(&cloud, CANARY, "with a healed alarm").await;

    shift(&cloud, "alarm web-service-5xx").await;
    shift(&cloud, "untag web-service-5xx").await;
    let refused = cloud.pipe(&TOOLS, "", CANARY).await;
    assert!(refused.code == 1 && refused.stderr.contains("alarm web-service-5xx ("), "{}", refused.stderr);
    cloud
        .shell(&format!("export ECS_ADOPT=true; ecs-net {CANARY} < /dev/null | {}", TOOLS[1..].join(" | ")))
        .await
        .ok();
    cloud.assert_is(&healed, "adopted").await;

    // Task by task, with an alarm of the file and one of somebody else's.
    let rolling = overlay(&format!(
        "{ROLLING}[services.web.deployment.alarms]\nunhealthy_hosts = 0\nperiods = 3\nnames = [\"api-service-5xx\"]\n"
    ));
    cloud.pipe(&TOOLS, "", &with(&rolling)).await.ok();
    let watched = cloud.inventory().await;
    let [web, api] = ["web-service", "api-service"].map(|name| item(&watched, "services", "serviceName", name));
    let alarms = |service: &Value| service["deploymentConfiguration"]["alarms"].clone();
    let names = ["api-service-5xx", "web-service-5xx"];
    assert_eq!(alarms(web), json!({"alarmNames": names, "enable": true, "rollback": true}));
    assert_eq!(alarms(api)["enable"], false);
    assert_eq!(item(&watched, "alarms", "AlarmName", "web-service-5xx")["EvaluationPeriods"], 3);
    assert_settled(&cloud, &with(&rolling), "task by task with alarms").await;
    assert_gone(&cloud, &with(&rolling)).await;
}

#[tokio::test]
async fn an_alarm_that_goes_off_rolls_the_canary_back_and_running_again_heals() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", CANARY).await.ok();
    let clean = cloud.inventory().await;
    let storm = "[[alarm]]\nname = 'web-service-5xx'\nservice = 'web-service'\nstage = 'PRODUCTION_TRAFFIC_SHIFT'";
    cloud.aws().set_weather(Weather::parse(storm).expect("a weather"));
    let change = overlay("[services.web.environment]\nCOLOUR = \"blue\"\n");
    let change = with(&change);
    let failed = cloud.pipe(&TOOLS, "", &change).await;
    assert_eq!(failed.code, 4, "{}", failed.stderr);
    assert!(failed.stderr.contains("web-service-5xx"), "{}", failed.stderr);
    let back = cloud.inventory().await;
    assert_reached(&back, "50000", "web");
    assert_eq!(targets(&back, "web"), targets(&clean, "web"), "the version before serves where it did");

    cloud.aws().set_weather(Weather::default());
    cloud.pipe(&TOOLS, "", &change).await.ok();
    let [one, other] = targets(&back, "web");
    assert_eq!(targets(&cloud.inventory().await, "web"), [other, one]);
    assert_settled(&cloud, &change, "after a canary that failed").await;
}

#[tokio::test]
async fn ci_may_deploy_exactly_this_stack() {
    let cloud = Cloud::start().await;
    let github = overlay(
        "[iam.github]\nrepository = \"org/repo\"\nenvironment = \"production\"\n[iam.ci_user]\nname = \"ci\"\n",
    );
    let github = with(&github);
    shift(&cloud, "provider").await;
    let made = cloud.pipe(&TOOLS, "", &github).await.ok().json();
    let arn = "arn:aws:iam::123456789012:role/canary-deploy";
    assert_eq!(made["iam"]["deploy_role_arn"], arn);
    let inventory = cloud.inventory().await;
    let provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com";
    let clients = &item(&inventory, "oidc_providers", "arn", provider)["ClientIDList"];
    assert_eq!(*clients, json!(["https://github.com/org", "sts.amazonaws.com"]));
    let role = item(&inventory, "roles", "RoleName", "canary-deploy");
    let user_arn = "arn:aws:iam::123456789012:user/ecs-pipe/canary/ci";
    let trusts_user = json!({"Effect": "Allow", "Principal": {"AWS": user_arn}, "Action": ["sts:AssumeRole"]});
    assert_eq!(role["trust"][0], trusts_user);
    assert_eq!(
        role["trust"][1],
        json!({
            "Effect": "Allow",
            "Principal": {"Federated": provider},
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Condition": {"StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": "repo:org/repo:environment:production",
            }},
        })
    );
    let user = item(&inventory, "users", "UserName", "ci");
    let assume = json!([{"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [arn]}]);
    assert_eq!((&user["inline"], &user["keys"]), (&json!({"AssumeDeployRole": assume}), &json!(0)));
    assert_eq!(role["managed"], json!([]));
    let statement = |sid: &str| item(&role["inline"], "Deploy", "Sid", sid).clone();
    let repositories =
        ["api-repo", "web-repo"].map(|name| format!("arn:aws:ecr:us-east-1:123456789012:repository/{name}"));
    assert_eq!(statement("Images")["Resource"], json!(repositories));
    assert!(statement("Images")["Action"].to_string().contains("ecr:PutImage"), "{role:#}");
    assert!(statement("Look")["Action"].to_string().contains("ecr:GetAuthorizationToken"), "{role:#}");
    assert_eq!(
        statement("PassInfrastructureRole")["Resource"],
        json!(["arn:aws:iam::123456789012:role/canaryInfrastructureRole"])
    );
    let services = statement("Deployments")["Resource"].to_string();
    for service in ["api-service", "web-service"] {
        assert!(services.contains(&format!("service/canary-cluster/{service}\"")), "{services}");
    }
    assert_settled(&cloud, &github, "with a deploy role").await;

    // Somebody has made the user again, which is another one, and gives it what people give.
    let people = "import boto3\niam = boto3.client('iam')\n\
        iam.delete_user_policy(UserName='ci', PolicyName='AssumeDeployRole')\niam.delete_user(UserName='ci')\n\
        iam.create_user(UserName='ci', Path='/ecs-pipe/canary/')\niam.create_access_key(UserName='ci')\n\
        iam.attach_user_policy(UserName='ci', PolicyArn='arn:aws:iam::aws:policy/ReadOnlyAccess')\n\
        iam.create_login_profile(UserName='ci', Password='correct-Horse-7-battery')\n";
    run_python(&cloud, people).await;
    let refused = cloud.pipe(&TOOLS[2..3], "--no-input", &github).await;
    assert!(refused.code == 1 && refused.stderr.contains("does not belong to this stack"), "{}", refused.stderr);
    let adopted = cloud.pipe(&TOOLS[2..3], "--no-input --adopt", &github).await.ok();
    let theirs = "somebody else has added managed policy arn:aws:iam::aws:policy/ReadOnlyAccess: left alone";
    assert!(adopted.stderr.contains(theirs), "{}", adopted.stderr);
    let trust = item(&cloud.inventory().await, "roles", "RoleName", "canary-deploy")["trust"].clone();
    assert_eq!(trust[0], trusts_user);
    cloud.pipe(&TOOLS[2..3], "--no-input --prune", &github).await.ok();
    cloud.take_calls();

    // Another branch is another trust, and nothing else; without the user the role trusts it no more.
    let branch = overlay("[iam.github]\nrepository = \"org/repo\"\n");
    let said = cloud.pipe(&TOOLS[2..3], "plan --no-input", &with(&branch)).await.ok().stderr;
    assert!(said.contains("IAM user ci is no longer needed: left alone"), "{said}");
    cloud.pipe(&TOOLS, "", &with(&branch)).await.ok();
    assert_eq!(cloud.take_writes(), ["iam:UpdateAssumeRolePolicy"]);
    let refused = cloud.pipe(&TOOLS[2..3], "--no-input --prune", &with(&branch)).await;
    let why = "deleting IAM user ci: people have given it a password";
    assert!(refused.code == 1 && refused.stderr.contains(why), "{}", refused.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);
    run_python(&cloud, "import boto3; boto3.client('iam').delete_login_profile(UserName='ci')").await;

    // The user alone makes the role too.
    let alone = overlay("[iam.ci_user]\nname = \"ci\"\n");
    cloud.pipe(&TOOLS[2..3], "--no-input", &with(&alone)).await.ok();
    let inventory = cloud.inventory().await;
    assert_eq!(item(&inventory, "roles", "RoleName", "canary-deploy")["trust"], json!([trusts_user]));

    // The role goes although the file no longer has it; the provider is everybody's.
    assert_gone(&cloud, CANARY).await;
    assert_eq!(cloud.inventory().await["oidc_providers"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn githubs_identity_provider_is_made_where_it_is_missing() {
    let cloud = Cloud::start().await;
    let github = overlay("[iam.github]\nrepository = \"org/repo\"\n");
    let plan = cloud
        .run(
            "ecs-iam",
            &[
                "plan",
                "--no-input",
                "--stack",
                "tests/stacks/canary.toml",
                "--stack",
                &github.path().display().to_string(),
            ],
            "",
        )
        .await
        .ok();
    assert!(plan.stderr.contains("create identity provider token.actions.githubusercontent.com"), "{}", plan.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);
    cloud.pipe(&TOOLS[2..3], "--no-input", &with(&github)).await.ok();
    let inventory = cloud.inventory().await;
    assert_eq!(inventory["oidc_providers"][0]["ClientIDList"], json!(["sts.amazonaws.com"]));
}
