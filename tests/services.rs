//! What the stack file says of containers, tasks and roles: made, changed on a living stack, and taken away again.

use ecs_local::Weather;
use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS, item, overlay, python, root};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const SERVICES: &str = "--stack tests/stacks/services.toml";

/// Runs shift.py.
async fn shift(cloud: &Cloud, verb: &str) {
    let script = root().join("tests/shift.py").display().to_string();
    let arguments: Vec<&str> = std::iter::once(script.as_str()).chain(verb.split_whitespace()).collect();
    cloud.run(&python().display().to_string(), &arguments, "").await.ok();
    cloud.take_calls();
}

/// Returns the arguments for the stack with an overlay.
fn with(overlay: &NamedTempFile) -> String {
    format!("{SERVICES} --stack {}", overlay.path().display())
}

/// Applies, checks that one more run writes nothing and that a plan finds nothing to do, and returns what there is.
async fn apply(cloud: &Cloud, arguments: &str, when: &str) -> Value {
    cloud.pipe(&TOOLS, "", arguments).await.ok();
    cloud.take_calls();
    let again = cloud.pipe(&TOOLS, "", arguments).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{when}: {}", again.stderr);
    let plan = cloud.pipe(&TOOLS, "plan --exit-code", arguments).await;
    assert_eq!((plan.code, cloud.take_writes()), (0, Vec::new()), "{when}: {}", plan.stderr);
    cloud.inventory().await
}

/// Checks that nothing of the stack is left.
async fn assert_gone(cloud: &Cloud, arguments: &str) {
    cloud.pipe(&BACKWARDS, "destroy", arguments).await.ok();
    cloud.assert_nothing_left("--stack services").await;
}

/// Returns an overlay without its namespace.
fn none_named(text: &str) -> NamedTempFile {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("namespace")).collect();
    overlay(&lines.join("\n").replace("connect = {", "# "))
}

fn definition(inventory: &Value) -> &Value {
    item(&inventory["task_definitions"], "family", "web-definition")
}

fn container<'i>(inventory: &'i Value, name: &str) -> &'i Value {
    item(&definition(inventory)["containers"], "name", name)
}

fn service(inventory: &Value) -> &Value {
    item(&inventory["services"], "serviceName", "web-service")
}

#[tokio::test]
async fn all_that_a_file_says_of_containers_is_made_and_then_left_alone() {
    let cloud = Cloud::start().await;
    let made = apply(&cloud, SERVICES, "made").await;
    assert_eq!(
        definition(&made)["runtimePlatform"],
        json!({"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"})
    );
    let web = container(&made, "web");
    assert_eq!(web["memoryReservation"], 512);
    assert_eq!((&web["entry_point"], &web["command"]), (&json!("/bin/start"), &json!("serve --port 3000")));
    assert_eq!(web["linuxParameters"]["initProcessEnabled"], true);
    let depends_on = json!([
        {"condition": "HEALTHY", "containerName": "agent"},
        {"condition": "SUCCESS", "containerName": "prepare"},
    ]);
    assert_eq!(web["dependsOn"], depends_on);
    let check = &web["health_check"];
    assert_eq!(check["command"], "CMD-SHELL curl -f http://localhost:3000/ || exit 1");
    let numbers = ["interval", "timeout", "retries", "startPeriod"].map(|member| check[member].as_i64().unwrap_or(-1));
    assert_eq!(numbers, [10, 5, 3, 20]);

    let agent = container(&made, "agent");
    assert_eq!(agent["image"], "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.1");
    assert_eq!((&agent["cpu"], &agent["memory"], &agent["essential"]), (&json!(64), &json!(128), &json!(false)));
    assert_eq!(agent["portMappings"][0]["containerPort"], 4317);
    assert_eq!(agent["environment"], json!({"MODE": "quiet"}));
    assert_eq!(agent["secrets"], json!({"LEVEL": "/services/agent/LEVEL"}));
    assert_eq!(agent["health_check"]["command"], "CMD /healthcheck");
    let options = |container: &Value| container["log"]["logConfiguration.options"].clone();
    assert_eq!(options(agent)["awslogs-group"], options(web)["awslogs-group"]);
    assert_eq!(
        (&options(agent)["awslogs-stream-prefix"], &options(web)["awslogs-stream-prefix"]),
        (&json!("agent"), &json!("ecs"))
    );

    assert_eq!(service(&made)["enableExecuteCommand"], true);
    assert_eq!(
        service(&made)["capacityProviderStrategy"],
        json!([
            {"base": 0, "capacityProvider": "FARGATE_SPOT", "weight": 3},
            {"base": 1, "capacityProvider": "FARGATE", "weight": 1},
        ])
    );

    // Whoever deploys changes the image of the container that serves; those of the sidecars are the file's.
    shift(&cloud, "deploy web-service").await;
    let healed = apply(&cloud, SERVICES, "after a deployment by somebody else").await;
    assert!(container(&healed, "web")["image"].as_str().is_some_and(|image| image.ends_with(":2")), "{healed:#}");
    assert_eq!(container(&healed, "agent")["image"], agent["image"]);
    assert_gone(&cloud, SERVICES).await;
}

#[tokio::test]
async fn a_living_service_changes_its_processor_its_capacity_and_exec_and_back() {
    let cloud = Cloud::start().await;
    let plain = overlay(
        "[services.web]\narchitecture = { remove = true }\nexec = { remove = true }\nspot = { remove = true }\n\
         depends_on = { remove = true }\nsidecars = { remove = true }\n",
    );
    let before = apply(&cloud, &with(&plain), "plain").await;
    assert_eq!(service(&before)["launch"], "FARGATE");
    assert_eq!(service(&before)["enableExecuteCommand"], false);
    assert_eq!(definition(&before)["runtimePlatform"]["cpuArchitecture"], "X86_64");
    assert_eq!(container(&before, "agent"), &Value::Null);

    // A cluster of somebody else's may have no capacity but what a launch type names.
    shift(&cloud, "strip").await;
    apply(&cloud, &with(&plain), "without capacity providers").await;
    let all = apply(&cloud, SERVICES, "with all of it").await;
    assert_eq!(all["clusters"][0]["capacityProviders"], json!(["FARGATE", "FARGATE_SPOT"]));
    assert_eq!(service(&all)["launch"], "FARGATE+FARGATE_SPOT");
    assert_eq!(service(&all)["enableExecuteCommand"], true);
    assert_eq!(definition(&all)["runtimePlatform"]["cpuArchitecture"], "ARM64");
    assert_ne!(container(&all, "agent"), &Value::Null);

    let back = overlay(
        "[services.web]\narchitecture = \"x86_64\"\nexec = false\nspot = { base = 0, on_demand = 1, weight = 0 }\n",
    );
    let off = apply(&cloud, &with(&back), "back on demand").await;
    assert_eq!(service(&off)["launch"], "FARGATE");
    assert_eq!(service(&off)["enableExecuteCommand"], false);
    assert_eq!(definition(&off)["runtimePlatform"]["cpuArchitecture"], "X86_64");

    // What somebody has set up at ECS stays where the file says nothing of it, and goes with `--prune`.
    shift(&cloud, "borrow web-service").await;
    let said = cloud.pipe(&TOOLS, "", &with(&plain)).await.ok().stderr;
    for theirs in ["capacity provider strategy FARGATE_SPOT 1", "ECS Exec enabled", "container agent"] {
        assert!(said.contains(&format!("somebody else has added {theirs}: left alone")), "{theirs}: {said}");
    }
    let kept = cloud.inventory().await;
    assert_eq!(service(&kept)["launch"], "FARGATE_SPOT");
    assert_ne!(container(&kept, "agent"), &Value::Null);
    cloud
        .shell(&format!("export ECS_PRUNE=true; ecs-net {} < /dev/null | {}", with(&plain), TOOLS[1..].join(" | ")))
        .await
        .ok();
    let pruned = apply(&cloud, &with(&plain), "pruned").await;
    assert_eq!((&service(&pruned)["launch"], &container(&pruned, "agent")), (&json!("FARGATE"), &&Value::Null));
    assert_eq!(service(&pruned)["enableExecuteCommand"], false);
    assert_gone(&cloud, &with(&plain)).await;
}

#[tokio::test]
async fn roles_may_do_what_the_file_says_within_its_boundary() {
    let cloud = Cloud::start().await;
    let plain = overlay("[iam.ci_user]\n");
    let made = apply(&cloud, &with(&plain), "with ECS Exec").await;
    let user = |inventory: &Value| item(&inventory["users"], "UserName", "services-ci").clone();
    assert_eq!(user(&made)["boundary"], Value::Null, "{:#}", made["users"]);
    let role = |inventory: &Value, name: &str| item(&inventory["roles"], "RoleName", name).clone();
    let exec = json!([{
        "Effect": "Allow",
        "Action": [
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ],
        "Resource": ["*"],
    }]);
    assert_eq!(role(&made, "webTaskRole")["inline"], json!({"web-service": exec}));
    let secrets = role(&made, "servicesTaskExecutionRole")["inline"]["ParameterStoreAccess"].to_string();
    assert!(secrets.contains("parameter/services/agent/LEVEL"), "{secrets}");

    let boundary = "arn:aws:iam::123456789012:policy/limit";
    let policies = overlay(&format!(
        "[iam]\npermissions_boundary = \"{boundary}\"\n\
         [[iam.execution_statements]]\nactions = [\"kms:Decrypt\"]\nresources = [\"arn:aws:kms:us-east-1:123456789012:key/k\"]\n\
         [iam.ci_user]\n[services.web]\nexec = false\n\
         [[services.web.policy]]\nactions = [\"s3:GetObject\", \"s3:PutObject\"]\nresources = [\"arn:aws:s3:::bucket/*\"]\n\
         conditions = {{ StringEquals = {{ \"aws:RequestedRegion\" = [\"us-east-1\"] }} }}\n\
         [[services.web.policy]]\neffect = \"deny\"\nactions = [\"s3:*\"]\nresources = [\"arn:aws:s3:::bucket/secret/*\"]\n"
    ));
    let limited = apply(&cloud, &with(&policies), "with policies and a boundary").await;
    let tasks = role(&limited, "webTaskRole");
    let statement = |effect: &str| item(&tasks["inline"]["web-service"], "Effect", effect).clone();
    assert_eq!(statement("Allow")["Action"], json!(["s3:GetObject", "s3:PutObject"]));
    assert_eq!(statement("Allow")["Condition"]["StringEquals"]["aws:RequestedRegion"], json!(["us-east-1"]));
    assert_eq!(statement("Deny")["Resource"], json!(["arn:aws:s3:::bucket/secret/*"]));
    let execution = role(&limited, "servicesTaskExecutionRole");
    assert!(execution["inline"]["ParameterStoreAccess"].to_string().contains("key/k"), "{execution:#}");
    for limited in [&tasks, &execution, &user(&limited)] {
        assert_eq!(limited["boundary"], boundary);
    }

    // The service's name is the policy's: there are never both.
    let renamed = overlay(
        &std::fs::read_to_string(policies.path())
            .expect("text")
            .replace("exec = false", "name = \"site\"\nexec = false"),
    );
    let named = cloud.pipe(&TOOLS[2..3], "--no-input", &with(&renamed)).await.ok();
    let inline = role(&cloud.inventory().await, "webTaskRole")["inline"].clone();
    assert_eq!(
        inline.as_object().map(|policies| policies.keys().collect::<Vec<_>>()),
        Some(vec![&"site".to_owned()]),
        "{}",
        named.stderr
    );

    // Without a word in the file the boundary is somebody else's, and the policy of the tasks is gone.
    let none = overlay("[iam.ci_user]\n[services.web]\nexec = { remove = true }\n");
    let said = cloud.pipe(&TOOLS, "", &with(&none)).await.ok().stderr;
    assert!(said.contains(&format!("somebody else has added permissions boundary {boundary}: left alone")), "{said}");
    shift(&cloud, "bind webTaskRole").await;
    let kept = cloud.inventory().await;
    assert_eq!(role(&kept, "webTaskRole")["inline"], json!({}));
    assert_eq!(role(&kept, "webTaskRole")["boundary"], "arn:aws:iam::123456789012:policy/theirs");
    cloud
        .shell(&format!("export ECS_PRUNE=true; ecs-net {} < /dev/null | {}", with(&none), TOOLS[1..].join(" | ")))
        .await
        .ok();
    let free = apply(&cloud, &with(&none), "without a boundary").await;
    assert_eq!([&role(&free, "webTaskRole")["boundary"], &user(&free)["boundary"]], [&Value::Null; 2]);
    assert_gone(&cloud, &with(&none)).await;

    // A role that is made is bound from the start.
    cloud.take_calls();
    let bound = apply(&cloud, &with(&policies), "made with a boundary").await;
    assert_eq!(role(&bound, "webTaskRole")["boundary"], boundary);
    assert_eq!(user(&bound)["boundary"], boundary);
    assert_gone(&cloud, &with(&policies)).await;
}

#[tokio::test]
async fn roles_and_images_of_somebody_elses_are_used_as_they_are() {
    let cloud = Cloud::start().await;
    let roles = "import boto3, json\niam = boto3.client('iam')\n\
        for name, service in [('theirs', 'ecs-tasks'), ('wrong', 'ec2')]:\n  iam.create_role(RoleName=name, \
        AssumeRolePolicyDocument=json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', \
        'Principal': {'Service': f'{service}.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}))\n\
        boto3.client('ecr').create_repository(repositoryName='team/web')";
    cloud.run(&python().display().to_string(), &["-c", roles], "").await.ok();
    cloud.take_calls();
    let given = |name: &str, more: &str| {
        let arn = format!("arn:aws:iam::123456789012:role/{name}");
        overlay(&format!(
            "[iam]\nexecution_role_arn = \"{arn}\"\n[services.web]\ntask_role_arn = \"{arn}\"\n\
             image = \"123456789012.dkr.ecr.us-east-1.amazonaws.com/team/{more}:1\"\n"
        ))
    };
    for (overlay, wrong) in [
        (given("nobody", "web"), "there is no role arn:aws:iam::123456789012:role/nobody"),
        (given("wrong", "web"), "it does not trust ecs-tasks.amazonaws.com"),
    ] {
        let refused = cloud.shell(&format!("ecs-iam --no-input {}", with(&overlay))).await;
        assert!(refused.code == 2 && refused.stderr.contains(wrong), "{}", refused.stderr);
        assert_eq!(cloud.take_writes(), [""; 0]);
    }
    let other = given("theirs", "other");
    let refused = cloud.shell(&format!("ecs-ecr --no-input {}", with(&other))).await;
    assert!(refused.code == 2 && refused.stderr.contains("no repository team/other"), "{}", refused.stderr);

    let theirs = given("theirs", "web");
    let made = apply(&cloud, &with(&theirs), "with somebody else's roles and image").await;
    let definition = definition(&made);
    assert_eq!((&definition["execution_role"], &definition["task_role"]), (&json!("theirs"), &json!("theirs")));
    assert_eq!(container(&made, "web")["image"], "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/web:1");
    assert_gone(&cloud, &with(&theirs)).await;
    let left = cloud.inventory().await;
    let role = item(&left["roles"], "RoleName", "theirs");
    assert_eq!((&role["inline"], &role["managed"], &role["tags"]), (&json!({}), &json!([]), &json!({})));
    assert_eq!(item(&left["repositories"], "repositoryName", "team/web")["tags"], json!({}));
}

#[tokio::test]
async fn a_task_definition_is_written_for_ci_and_registers_again() {
    let cloud = Cloud::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("service.latest.json");
    let line = |verb: &str| {
        let before = TOOLS[1..6].iter().map(|tool| format!("{tool} {verb} | ")).collect::<String>();
        let flag = format!("--write-task-definition {}", file.display());
        format!("ecs-net {verb} {SERVICES} < /dev/null | {before}ecs-svc {verb} {flag}")
    };
    cloud.shell(&line("plan")).await.ok();
    assert!(!file.exists(), "a plan writes nothing");
    cloud.shell(&line("")).await.ok();
    let written = std::fs::read_to_string(&file).expect("a file");
    let definition: Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(definition["family"], "web-definition");
    let web = item(&definition["containerDefinitions"], "name", "web");
    let url = "arn:aws:ssm:us-east-1:123456789012:parameter/services/web/URL";
    assert_eq!(web["secrets"], json!([{"name": "URL", "valueFrom": url}]));

    // CI fills in the image and registers it; what comes of it is the stack's.
    let ci = "import boto3, json, sys; definition = json.load(open(sys.argv[1])); \
              definition['containerDefinitions'][0]['image'] = 'filled-in:1'; \
              print(boto3.client('ecs').register_task_definition(**definition)['taskDefinition']['revision'])";
    let registered =
        cloud.run(&python().display().to_string(), &["-c", ci, &file.display().to_string()], "").await.ok();
    assert_eq!(registered.stdout.trim(), "2");
    cloud.take_calls();
    cloud.shell(&line("")).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0]);

    let refused = cloud
        .run("ecs-svc", &["--write-task-definition", "api=x.json", "--stack", "tests/stacks/services.toml"], "")
        .await;
    assert!(refused.code == 2 && refused.stderr.contains("the stack has no service `api`"), "{refused:?}");
}

#[tokio::test]
async fn a_service_is_reached_by_name_has_a_file_system_and_runs_in_somebody_elses_cluster() {
    let cloud = Cloud::start().await;
    let file = |expression: &str| {
        overlay(&format!(
            "[cluster]\narn = \"arn:aws:ecs:us-east-1:123456789012:cluster/theirs\"\nnamespace = \"services\"\n\
             [services.web]\nspot = {{ remove = true }}\nconnect = {{ name = \"web\", port = 80, protocol = \"http\" }}\n\
             [services.web.volumes.data]\nfile_system = \"fs-0123456789abcdef0\"\n\
             access_point = \"fsap-0123456789abcdef0\"\npath = \"/data\"\n\
             [schedules.cleanup]\nservice = \"web\"\nexpression = \"{expression}\"\n"
        ))
    };
    let theirs = file("rate(1 hour)");
    let refused = cloud
        .run(
            "ecs-svc",
            &[
                "plan",
                "--stack",
                SERVICES.trim_start_matches("--stack "),
                "--stack",
                &theirs.path().display().to_string(),
            ],
            "",
        )
        .await;
    assert_ne!(refused.code, 0);
    // A cluster of the stack's own is not left behind, and a destroy takes it along.
    cloud.pipe(&TOOLS, "", SERVICES).await.ok();
    shift(&cloud, "cluster theirs").await;
    for verb in ["plan", ""] {
        let refused = cloud.pipe(&TOOLS, verb, &with(&theirs)).await;
        let says = refused.stderr.contains("the stack's own cluster services-cluster is still there");
        assert!(refused.code == 2 && says, "{}", refused.stderr);
    }
    cloud.shell(&format!("ecs-svc destroy --no-input {}", with(&theirs))).await.ok();
    let left = cloud.inventory().await;
    assert_eq!((left["clusters"].as_array().map(Vec::len), &left["services"]), (Some(1), &json!([])));
    let made = apply(&cloud, &with(&theirs), "made").await;
    let clusters = made["clusters"].as_array().map(Vec::len);
    assert_eq!((clusters, &made["clusters"][0]["tags"]), (Some(1), &json!({})), "the cluster is used as it is");
    assert_eq!(made["namespaces"][0]["Name"], "services");
    let connect = &service(&made)["connect"];
    let alias = json!([{"clientAliases": [{"dnsName": "web", "port": 80}], "discoveryName": "web", "portName": "web"}]);
    assert_eq!((&connect["services"], &connect["namespace"]), (&alias, &json!(true)));
    let port = &container(&made, "web")["portMappings"][0];
    assert_eq!((&port["name"], &port["appProtocol"]), (&json!("web"), &json!("http")));
    let efs = &definition(&made)["volumes"][0]["efsVolumeConfiguration"];
    assert_eq!(efs["transitEncryption"], "ENABLED");
    assert_eq!(efs["authorizationConfig"], json!({"accessPointId": "fsap-0123456789abcdef0", "iam": "ENABLED"}));
    assert_eq!(container(&made, "web")["mount_points"][0]["containerPath"], "/data");
    let rules = made["security_groups"].to_string();
    assert!(rules.contains("Allow port 3000 from ECS tasks"), "{rules}");

    // A deployment by somebody else keeps what the file has put in.
    shift(&cloud, "deploy web-service").await;
    let after = apply(&cloud, &with(&theirs), "after a deployment by somebody else").await;
    assert_eq!(&service(&after)["connect"], connect);

    // What has lost its tags is taken over, and another time is put in.
    let untag = "import boto3\nscheduler, cloud_map = boto3.client('scheduler'), boto3.client('servicediscovery')\n\
                 group = scheduler.get_schedule_group(Name='services')['Arn']\n\
                 scheduler.untag_resource(ResourceArn=group, TagKeys=['ecs-pipe:stack'])\n\
                 namespace = cloud_map.list_namespaces()['Namespaces'][0]['Arn']\n\
                 cloud_map.untag_resource(ResourceARN=namespace, TagKeys=['ecs-pipe:stack'])\n";
    cloud.run(&python().display().to_string(), &["-c", untag], "").await.ok();
    cloud.take_calls();
    let later = file("rate(2 hours)");
    let line = format!("export ECS_ADOPT=true; ecs-net {} < /dev/null | {}", with(&later), TOOLS[1..].join(" | "));
    let adopted = cloud.shell(&line).await.ok();
    for what in ["adopted schedule group services", "adopted namespace services", "changed schedule cleanup"] {
        assert!(adopted.stderr.contains(what), "{what}: {}", adopted.stderr);
    }

    // A namespace of another name takes the first one's place, which is shown, and goes with --prune.
    let text = std::fs::read_to_string(later.path()).expect("text");
    let other = overlay(&text.replace("namespace = \"services\"", "namespace = \"others\""));
    let plan = cloud.pipe(&TOOLS, "plan", &with(&other)).await.ok();
    assert!(plan.stderr.contains("namespace services is no longer needed: left alone"), "{}", plan.stderr);
    let line = format!("export ECS_PRUNE=true; ecs-net {} < /dev/null | {}", with(&other), TOOLS[1..].join(" | "));
    cloud.shell(&line).await.ok();
    let left = cloud.inventory().await;
    assert_eq!(
        (left["namespaces"].as_array().map(Vec::len), &left["namespaces"][0]["Name"]),
        (Some(1), &json!("others"))
    );

    // A task that a schedule has started is stopped, one of somebody else's is not; the namespace goes that no file names.
    let run = "import boto3, sys\necs = boto3.client('ecs')\n\
               cluster, where = ecs.list_clusters()['clusterArns'][0], {'launchType': 'FARGATE'}\n\
               service = ecs.describe_services(cluster=cluster, services=['web-service'])['services'][0]\n\
               where['networkConfiguration'] = service['networkConfiguration']\n\
               task = service['taskDefinition']\n\
               ecs.run_task(cluster=cluster, taskDefinition=task, propagateTags='TASK_DEFINITION', **where)\n\
               ecs.register_task_definition(family='theirs', networkMode='awsvpc', cpu='256', memory='512', \
               requiresCompatibilities=['FARGATE'], containerDefinitions=[{'name': 'x', 'image': 'nginx'}])\n\
               ecs.run_task(cluster=cluster, taskDefinition='theirs', **where)\n";
    let runs_on = "[[misfortune]]\nservice = '*'\nhappens = 'runs'";
    cloud.aws().set_weather(Weather::parse(runs_on).expect("a weather"));
    cloud.run(&python().display().to_string(), &["-c", run], "").await.ok();
    let unnamed = none_named(&text);
    let said = cloud.shell(&format!("ecs-svc destroy --no-input {}", with(&unnamed))).await.ok();
    assert!(said.stderr.contains("deleted scheduled tasks in cluster theirs (1 task)"), "{}", said.stderr);
    let stop = "import boto3\necs = boto3.client('ecs')\ncluster = ecs.list_clusters()['clusterArns'][0]\n\
                tasks = ecs.list_tasks(cluster=cluster)['taskArns']\nassert len(tasks) == 1, tasks\n\
                ecs.stop_task(cluster=cluster, task=tasks[0])\n";
    cloud.run(&python().display().to_string(), &["-c", stop], "").await.ok();
    assert_gone(&cloud, &with(&later)).await;
    let left = cloud.inventory().await;
    assert_eq!(left["clusters"][0]["clusterName"], "theirs");
    assert_eq!(left["namespaces"], json!([]));
}
