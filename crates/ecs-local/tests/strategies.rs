//! Deployments that shift traffic, their hooks and their alarms. Needs a Python with moto, as tests/local_aws.rs does.

mod support;

use std::time::{Duration, Instant};

use ecs_local::Options;
use ecs_local::weather::Weather;
use serde_json::{Value, json};

use self::support::{Aws, Foundation, within};

/// How long a test waits for something that takes seconds at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Simulated seconds per real second: a task is up in a tenth of a second, and the canary bakes for six.
const SPEED: f64 = 600.0;

/// A local AWS with a service that rolls, steady, and all that a canary of it needs.
struct Stage {
    aws: Aws,
    made: Foundation,
    /// The other target group.
    alternate: String,
    /// A rule that forwards to both, with weights 1 and 0.
    rule: String,
}

impl Stage {
    async fn set(speed: f64, weather: &str) -> Stage {
        let weather = Weather::parse(weather).expect("a scenario");
        let aws = Aws::start(Options { speed, weather, ..Options::default() }).await;
        let made = aws.foundation(true);
        let elb = |form: &str, tag: &str| aws.query("elasticloadbalancing", form, tag);
        let vpc = elb("Action=DescribeTargetGroups&Names.member.1=web", "VpcId");
        let form = format!("Action=CreateTargetGroup&Name=web2&Protocol=HTTP&Port=80&TargetType=ip&VpcId={vpc}");
        let alternate = elb(&form, "TargetGroupArn");
        let balancer = elb("Action=DescribeLoadBalancers&Names.member.1=web", "LoadBalancerArn");
        let listener = elb(&format!("Action=DescribeListeners&LoadBalancerArn={balancer}"), "ListenerArn");
        let tuples = "Actions.member.1.ForwardConfig.TargetGroups.member";
        let form = format!(
            "Action=CreateRule&ListenerArn={listener}&Priority=10&Conditions.member.1.Field=path-pattern\
             &Conditions.member.1.Values.member.1=/*&Actions.member.1.Type=forward&{tuples}.1.TargetGroupArn={}\
             &{tuples}.1.Weight=1&{tuples}.2.TargetGroupArn={alternate}&{tuples}.2.Weight=0",
            made.target_group
        );
        let rule = elb(&form, "RuleArn");
        let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecs.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        aws.query("iam", &format!("Action=CreateRole&RoleName=balancers&AssumeRolePolicyDocument={trust}"), "Arn");
        aws.put_parameter("/web/secret");
        aws.register("/web/secret");
        aws.ecs("CreateService", made.service());
        let stage = Stage { aws, made, alternate, rule };
        stage.until("the service is steady", || {
            stage.aws.service()["deployments"][0]["rolloutState"] == json!("COMPLETED")
        });
        stage
    }

    /// Registers a revision, and deploys it with a strategy.
    fn deploy(&self, configuration: Value) {
        self.aws.register("/web/secret");
        let mut service = self.made.service();
        let advanced = json!({
            "alternateTargetGroupArn": self.alternate, "productionListenerRule": self.rule,
            "roleArn": "arn:aws:iam::123456789012:role/balancers",
        });
        service["loadBalancers"][0]["advancedConfiguration"] = advanced;
        self.aws.ecs(
            "UpdateService",
            json!({
                "cluster": "c", "service": "web", "taskDefinition": "web", "loadBalancers": service["loadBalancers"],
                "deploymentConfiguration": configuration,
            }),
        );
    }

    /// The newest service deployment.
    fn deployment(&self) -> Value {
        let listed = self.aws.ecs("ListServiceDeployments", json!({"cluster": "c", "service": "web"}));
        let arn = &listed["serviceDeployments"][0]["serviceDeploymentArn"];
        let described = self.aws.ecs("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}));
        described["serviceDeployments"][0].clone()
    }

    /// The rule's weights of the first target group and the other, as ELBv2 says.
    fn weights(&self) -> (i64, i64) {
        let form = format!("Action=DescribeRules&RuleArns.member.1={}", self.rule);
        let (_, xml) = self.aws.query_raw("elasticloadbalancing", &form);
        let forward = xml.split("<TargetGroups>").nth(1).expect("a forward to target groups");
        let weight = |arn: &str| {
            let tuple = forward.split("<member>").find(|tuple| tuple.contains(arn));
            tuple.and_then(|tuple| within(tuple, "Weight")).and_then(|weight| weight.parse().ok()).expect("a weight")
        };
        (weight(&self.made.target_group), weight(&self.alternate))
    }

    /// Polls until something is so, and returns the weights seen meanwhile, in order.
    fn until(&self, what: &str, is_so: impl Fn() -> bool) -> Vec<(i64, i64)> {
        let started = Instant::now();
        let mut seen = Vec::new();
        while !is_so() {
            let weights = self.weights();
            if seen.last() != Some(&weights) {
                seen.push(weights);
            }
            assert!(started.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        }
        seen
    }

    fn until_status(&self, status: &str) -> Vec<(i64, i64)> {
        self.until(status, || self.deployment()["status"] == json!(status))
    }

    fn put_alarm(&self) {
        let form = "Action=PutMetricAlarm&AlarmName=5xx&Namespace=AWS/ApplicationELB&MetricName=HTTPCode_Target_5XX_Count&Period=60\
                    &EvaluationPeriods=2&Threshold=1&Statistic=Sum&ComparisonOperator=GreaterThanThreshold";
        let (status, answer) = self.aws.query_raw("monitoring", form);
        assert_eq!(status, 200, "{answer}");
    }

    fn alarm_state(&self) -> Value {
        let request = json!({"AlarmNames": ["5xx"]});
        let (_, answer) = self.aws.json("monitoring", "GraniteServiceVersion20100801.DescribeAlarms", request);
        answer["MetricAlarms"][0]["StateValue"].clone()
    }

    /// How many targets a target group has.
    fn targets(&self, target_group: &str) -> usize {
        let form = format!("Action=DescribeTargetHealth&TargetGroupArn={target_group}");
        self.aws.query_raw("elasticloadbalancing", &form).1.matches("<State>").count()
    }
}

fn canary() -> Value {
    json!({
        "strategy": "CANARY", "bakeTimeInMinutes": 5,
        "canaryConfiguration": {"canaryPercent": 25.0, "canaryBakeTimeInMinutes": 60},
        "alarms": {"alarmNames": ["5xx"], "enable": true, "rollback": true},
    })
}

#[tokio::test]
async fn a_canary_bakes_and_completes() {
    let stage = Stage::set(SPEED, "").await;
    stage.deploy(canary());
    let seen = stage.until_status("SUCCESSFUL");
    assert!(seen.contains(&(75, 25)), "{seen:?}");
    assert_eq!(stage.weights(), (0, 100));
    assert_eq!((stage.targets(&stage.made.target_group), stage.targets(&stage.alternate)), (0, 2));
    let ended = stage.deployment();
    assert_eq!(ended["lifecycleStage"], "CLEAN_UP");
    assert_eq!(ended["targetServiceRevision"]["requestedProductionTrafficWeight"], 100.0);
    stage.aws.local.stop().await;
}

#[tokio::test]
async fn a_linear_shift_moves_the_weights_step_by_step() {
    let stage = Stage::set(0.0, "").await;
    // A pause before each step: each is a hook of its own.
    stage.deploy(json!({
        "strategy": "LINEAR", "bakeTimeInMinutes": 5,
        "linearConfiguration": {"stepPercent": 33.4, "stepBakeTimeInMinutes": 10},
        "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}],
    }));
    for (step, weights) in [(1, 0), (666, 334), (332, 668)].into_iter().enumerate() {
        let paused = stage.deployment();
        let hook = &paused["lifecycleHookDetails"][step];
        assert_eq!((stage.weights(), &hook["status"]), (weights, &json!("AWAITING_ACTION")));
        let request = json!({"serviceDeploymentArn": paused["serviceDeploymentArn"], "hookId": hook["hookId"]});
        stage.aws.ecs("ContinueServiceDeployment", request);
    }
    assert_eq!((&stage.deployment()["status"], stage.weights()), (&json!("SUCCESSFUL"), (0, 100)));
    stage.aws.local.stop().await;
}

#[tokio::test]
async fn a_paused_deployment_waits_and_goes_on() {
    let stage = Stage::set(0.0, "").await;
    let hook = json!({"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]});
    stage.deploy(json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10, "lifecycleHooks": [hook]}));
    let paused = stage.deployment();
    assert_eq!(
        (&paused["status"], &paused["lifecycleStage"]),
        (&json!("IN_PROGRESS"), &json!("PRE_PRODUCTION_TRAFFIC_SHIFT"))
    );
    assert_eq!((stage.weights(), stage.targets(&stage.alternate)), ((1, 0), 2));
    let hook = &paused["lifecycleHookDetails"][0];
    assert_eq!((&hook["status"], &hook["timeoutAction"]), (&json!("AWAITING_ACTION"), &json!("ROLLBACK")));
    let request = json!({"serviceDeploymentArn": paused["serviceDeploymentArn"], "hookId": hook["hookId"]});
    stage.aws.ecs("ContinueServiceDeployment", request.clone());
    assert_eq!(stage.deployment()["status"], "SUCCESSFUL");
    assert_eq!((stage.weights(), stage.targets(&stage.made.target_group)), ((0, 100), 0));
    let target = "AmazonEC2ContainerServiceV20141113.ContinueServiceDeployment";
    let (status, refusal) = stage.aws.json("ecs", target, request);
    assert_eq!((status, &refusal["__type"]), (400, &json!("InvalidParameterException")), "{refusal}");
    stage.aws.local.stop().await;
}

#[tokio::test]
async fn an_alarm_by_script_rolls_a_canary_back() {
    let script = "[[alarm]]\nname = \"5xx\"\nservice = \"web\"\nstage = \"PRODUCTION_TRAFFIC_SHIFT\"\nafter = \"30m\"";
    let stage = Stage::set(SPEED, script).await;
    stage.put_alarm();
    assert_eq!(stage.alarm_state(), "INSUFFICIENT_DATA");
    stage.deploy(canary());
    stage.until("the canary bakes", || stage.weights() == (75, 25));
    stage.until_status("ROLLBACK_SUCCESSFUL");
    assert_eq!(stage.weights(), (1, 0));
    let ended = stage.deployment();
    assert_eq!(ended["alarms"]["status"], "TRIGGERED");
    assert_eq!(ended["alarms"]["triggeredAlarmNames"], json!(["5xx"]));
    let reason = ended["rollback"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("5xx") && ended["statusReason"] == json!(reason), "{ended}");
    assert_eq!((stage.targets(&stage.made.target_group), stage.targets(&stage.alternate)), (2, 0));
    assert_eq!(stage.alarm_state(), "OK");
    let service = stage.aws.service();
    assert!(service["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("web:1")));
    let events = service["events"].to_string();
    assert!(events.contains("deployment failed: alarm detected."), "{events}");
    stage.aws.local.stop().await;
}

#[tokio::test]
async fn an_alarm_by_hand_rolls_back_at_once_where_nothing_takes_time() {
    let stage = Stage::set(0.0, "").await;
    stage.put_alarm();
    let mut configuration = canary();
    configuration["lifecycleHooks"] =
        json!([{"targetType": "PAUSE", "lifecycleStages": ["POST_PRODUCTION_TRAFFIC_SHIFT"]}]);
    stage.deploy(configuration);
    assert_eq!((&stage.deployment()["status"], stage.weights()), (&json!("IN_PROGRESS"), (0, 100)));
    let form = "Action=SetAlarmState&AlarmName=5xx&StateValue=ALARM&StateReason=test";
    let (status, answer) = stage.aws.query_raw("monitoring", form);
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&stage.deployment()["status"], stage.weights()), (&json!("ROLLBACK_SUCCESSFUL"), (1, 0)));
    let (status, answer) = stage.aws.query_raw("monitoring", &form.replace("5xx", "none"));
    assert_eq!((status, within(&answer, "Code").as_deref()), (404, Some("ResourceNotFound")));
    stage.aws.local.stop().await;
}

#[tokio::test]
async fn a_stopped_deployment_goes_back() {
    let stage = Stage::set(SPEED, "").await;
    stage.deploy(canary());
    stage.until("the canary bakes", || stage.weights() == (75, 25));
    let arn = stage.deployment()["serviceDeploymentArn"].clone();
    let request = json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"});
    stage.aws.ecs("StopServiceDeployment", request.clone());
    stage.until_status("ROLLBACK_SUCCESSFUL");
    assert_eq!(stage.weights(), (1, 0));
    let (status, refusal) = stage.aws.json("ecs", "AmazonEC2ContainerServiceV20141113.StopServiceDeployment", request);
    assert_eq!((status, &refusal["__type"]), (400, &json!("ConflictException")), "{refusal}");
    stage.aws.local.stop().await;
}

#[tokio::test]
async fn rules_and_roles_that_do_not_fit_roll_back() {
    let stage = Stage::set(0.0, "").await;
    let tuples = "Actions.member.1.ForwardConfig.TargetGroups.member";
    let form = format!(
        "Action=ModifyRule&RuleArn={}&Actions.member.1.Type=forward&{tuples}.1.TargetGroupArn={}&{tuples}.1.Weight=1\
         &{tuples}.2.TargetGroupArn={}&{tuples}.2.Weight=1",
        stage.rule, stage.made.target_group, stage.alternate
    );
    stage.aws.query("elasticloadbalancing", &form, "RuleArn");
    stage.deploy(canary());
    let ended = stage.deployment();
    assert_eq!(ended["status"], "ROLLBACK_SUCCESSFUL");
    let reason = ended["statusReason"].as_str().expect("a reason");
    assert!(reason.contains("should have exactly one target group serving traffic but found 2"), "{reason}");
    let form = form.replace("2.Weight=1", "2.Weight=0");
    stage.aws.query("elasticloadbalancing", &form, "RuleArn");
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
    let form = format!("Action=UpdateAssumeRolePolicy&RoleName=balancers&PolicyDocument={trust}");
    let (status, answer) = stage.aws.query_raw("iam", &form);
    assert_eq!(status, 200, "{answer}");
    stage.deploy(canary());
    let ended = stage.deployment();
    assert!(ended["statusReason"].as_str().is_some_and(|reason| reason.contains("ECS Infrastructure Role")), "{ended}");
    stage.aws.local.stop().await;
}
