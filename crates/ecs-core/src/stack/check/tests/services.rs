//! What is wrong with services, their routing, their cluster and their schedules.

use serde_json::{Value, json};

use super::*;

#[test]
fn every_mistake_in_services_says_where_what_and_what_to_do() {
    assert_mistakes(&[
        (
            json!({"services": {"frontend": {"autoscaling": {"min": 1, "max": 4, "requests_per_target": 100}, "deployment": {"strategy": "canary", "percent": 25}}}}),
            &[
                "services.frontend.autoscaling.requests_per_target: requests are counted at one target group, and a deployment that shifts traffic has two in turn (track `cpu` or `memory`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"environment": {"TABLE": "${table.orders.name}"}}}}),
            &[
                "services.frontend.environment.TABLE: unknown reference `${table.orders.name}` (the stack has no `[tables.…]`)",
            ],
        ),
        (json!({"alb": {"name": "internal-x"}}), &["alb.name: a load balancer name must not start with `internal-`"]),
        (
            json!({"alb": {"name": "a_b"}}),
            &["alb.name: the load balancer name `a_b` holds '_', only letters, digits and hyphens are allowed"],
        ),
        (json!({"alb": {"name": "-a"}}), &["alb.name: the load balancer name `-a` starts or ends with a hyphen"]),
        (
            json!({"alb": {"certificate_arn": "arn:aws:iam::123456789012:server-certificate/x"}}),
            &[
                "alb.certificate_arn: `arn:aws:iam::123456789012:server-certificate/x` is not the ARN of an ACM certificate (an ACM certificate is `arn:aws:acm:REGION:ACCOUNT:certificate/ID`)",
            ],
        ),
        (
            json!({"cluster": {"name": "a b", "log_retention_days": 40}}),
            &[
                "cluster.name: the cluster name `a b` holds ' ', only letters, digits, hyphens and underscores are allowed",
                "cluster.log_retention_days: CloudWatch Logs keeps nothing for 40 days (the nearest that it has is 30; it has 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653)",
            ],
        ),
        (
            json!({"services": {"backend": {"secrets": {"A": "/ecs/backend/DB_HOTS", "B": "/nowhere/at/all", "C": "DB_NAME", "D": "${db.host}", "E": "secret", "F": "${db.secret_arn}:password", "G": "arn:aws:s3:::bucket", "H": "arn:aws:ssm:eu-west-1:123456789012:parameter/x", "I": "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-abc:key::"}}}}),
            &[
                "services.backend.secrets.A: a secret that points nowhere: there is no parameter `/ecs/backend/DB_HOTS` (did you mean `/ecs/backend/DB_HOST`?)",
                "services.backend.secrets.B: a secret that points nowhere: there is no parameter `/nowhere/at/all` (add it to `parameters`, or give the ARN of a parameter that is there already)",
                "services.backend.secrets.C: `C` must come from a parameter's name or an ARN (did you mean `/ecs/backend/DB_NAME`?)",
                "services.backend.secrets.D: `D` must come from a parameter's name or an ARN (put the reference into a parameter, and the parameter's name here)",
                "services.backend.secrets.E: `E` must come from a parameter's name or an ARN (a value that is no secret belongs in `environment`)",
                r#"services.backend.secrets.F: `${db.secret_arn}` needs `db.password = "secrets_manager"` (here the password is in the parameter whose value is `${db.password}`)"#,
                "services.backend.secrets.F: what follows the secret's ARN must be `:JSON-KEY:STAGE:VERSION-ID` (all three colons are needed: `${db.secret_arn}:password::`)",
                "services.backend.secrets.G: `arn:aws:s3:::bucket` is not the ARN of a parameter or a secret (write `arn:aws:ssm:REGION:ACCOUNT:parameter/NAME` or `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"environment": {"A": "${alb.url}", "NEXT_PUBLIC_API_URL": "x", "A B": "x", "OK": "${HOME}"}}}}),
            &[
                "services.frontend.environment.A: a plain environment variable cannot refer to `${alb.url}` (put it into a parameter and the parameter's name into the service's `secrets`)",
                r#"services.frontend.environment."A B": "A B" cannot be the name of an environment variable (no space and no `=` in it)"#,
                "services.frontend.secrets.NEXT_PUBLIC_API_URL: `NEXT_PUBLIC_API_URL` is in `environment` and in `secrets` (ECS takes each variable once)",
            ],
        ),
        (
            json!({"services": {"frontend": {"cpu": 256, "memory": 4096}}}),
            &[
                "services.frontend.memory: Fargate has no 256 CPU units with 4096 MiB (the nearest that it has is `cpu = 512` with `memory = 4096`; 256 CPU units go with 512, 1024 or 2048 MiB)",
            ],
        ),
        (
            json!({"services": {"frontend": {"cpu": 500}}}),
            &[
                "services.frontend.cpu: Fargate has no 500 CPU units (the nearest that it has is `cpu = 512` with `memory = 1024`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"cpu": 8192, "memory": 20000}}}),
            &[
                "services.frontend.memory: Fargate has no 8192 CPU units with 20000 MiB (the nearest that it has is `cpu = 8192` with `memory = 20480`; 8192 CPU units go with 16384 to 61440 MiB by 4096)",
            ],
        ),
        (json!({"services": {"frontend": {"image": "nginx", "repository": "x-y"}}}), &[]),
        (
            json!({"services": {"frontend": {"image": "ng inx"}}}),
            &[
                "services.frontend.image: `ng inx` is not an image reference (write it like `public.ecr.aws/nginx/nginx:1.29`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"repository": "Repo"}}}),
            &["services.frontend.repository: the repository name `Repo` does not start with a lower-case letter"],
        ),
        (
            json!({"services": {"frontend": {"repository": "repo:1"}}}),
            &[
                "services.frontend.repository: the repository name `repo:1` holds ':', only lower-case letters, digits and ._-/ are allowed (a tag goes into `tag`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"repository": "a//b"}}}),
            &["services.frontend.repository: the repository name `a//b` has two of ._-/ in a row, or one at its end"],
        ),
        (
            json!({"services": {"frontend": {"tag": ".x"}}}),
            &[
                "services.frontend.tag: `.x` is not an image tag (letters, digits and _.- , at most 128, not starting with a period or hyphen)",
            ],
        ),
        (
            json!({"services": {"frontend": {"minimum_healthy_percent": 100, "maximum_percent": 100}}}),
            &[
                "services.frontend.maximum_percent: no deployment could ever move: with 2 tasks, 100 to 100 % lets none stop and none start (at least `maximum_percent = 150`, or a lower `minimum_healthy_percent`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"desired": 1, "minimum_healthy_percent": 50, "maximum_percent": 150}}}),
            &[
                "services.frontend.maximum_percent: no deployment could ever move: with 1 task, 50 to 150 % lets none stop and none start (at least `maximum_percent = 200`, or a lower `minimum_healthy_percent`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"desired": 3, "minimum_healthy_percent": 67, "maximum_percent": 130}}}),
            &[
                "services.frontend.maximum_percent: no deployment could ever move: with 3 tasks, 67 to 130 % lets none stop and none start (at least `maximum_percent = 134`, or a lower `minimum_healthy_percent`)",
            ],
        ),
        (json!({"services": {"frontend": {"desired": 0, "maximum_percent": 100}}}), &[]),
        (json!({"services": {"frontend": {"desired": 4, "maximum_percent": 125}}}), &[]),
        (
            json!({"services": {"frontend": {"minimum_healthy_percent": 101}}}),
            &["services.frontend.minimum_healthy_percent: expected 0 to 100 per cent, found 101"],
        ),
        (
            json!({"services": {"frontend": {"maximum_percent": 99}}}),
            &["services.frontend.maximum_percent: expected 100 per cent or more, found 99"],
        ),
        (
            json!({"services": {"frontend": {"desired": 4, "maximum_percent": 125, "autoscaling": {"min": 2, "max": 8, "cpu": 50}}}}),
            &[
                "services.frontend.maximum_percent: no deployment could ever move: with 2 tasks, 100 to 125 % lets none stop and none start (at least `maximum_percent = 150`, or a lower `minimum_healthy_percent`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"autoscaling": {"min": 0, "max": 0}}}}),
            &[
                "services.frontend.autoscaling.min: autoscaling cannot start a service that has no task",
                "services.frontend.autoscaling: the autoscaling of `frontend` has no target (give one or more of `cpu`, `memory`, `requests_per_target` and `schedules`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"autoscaling": {"min": 0, "max": 0, "schedules": [
                {"name": "day", "expression": "cron(0 8 * * ? *)", "timezone": "Europe/Berlin", "min": 1, "max": 2},
                {"name": "day", "expression": "rate(1 week)", "timezone": "here and there", "min": 2, "max": 1},
                {"name": "", "expression": "at(2027-01-01T00:00:00)"}
            ]}}}}),
            &[
                "services.frontend.autoscaling.schedules.1.expression: `rate(1 week)` is no schedule: `week` is none of minutes, hours and days (as AWS writes it: `cron(0 3 * * ? *)`, `rate(1 hour)` or `at(2027-01-01T00:00:00)`)",
                "services.frontend.autoscaling.schedules.1.timezone: `here and there` is not a time zone (a name of the IANA database: `Europe/Berlin`, `America/New_York`, `UTC`)",
                "services.frontend.autoscaling.schedules.1.max: the greatest number of tasks, 1, is below the least, 2",
                "services.frontend.autoscaling.schedules.1.name: another schedule of `frontend` is called `day`",
                "services.frontend.autoscaling.schedules.2.name: `` cannot be the name of a schedule (letters, digits, _ and -, at most 64)",
                "services.frontend.autoscaling.schedules.2.name: the schedule `` has neither `min` nor `max`",
            ],
        ),
        (
            json!({"schedules": {
                "fine": {"service": "backend", "expression": "cron(0 3 * * ? *)", "command": ["x"]},
                "not fine": {"service": "backnd", "expression": "hourly", "dead_letter_queue": "failed"}
            }}),
            &[
                "schedules.\"not fine\": the schedule name `not fine` holds ' ', only letters, digits and _.- are allowed",
                "schedules.\"not fine\".service: there is no service `backnd` (did you mean `backend`?)",
                "schedules.\"not fine\".expression: `hourly` is no schedule: it has no parentheses (as AWS writes it: `cron(0 3 * * ? *)`, `rate(1 hour)` or `at(2027-01-01T00:00:00)`)",
                "schedules.\"not fine\".dead_letter_queue: `failed` is not the ARN of an SQS queue",
            ],
        ),
        (
            json!({"services": {"frontend": {"autoscaling": {"min": 3, "max": 2, "cpu": 50}}}}),
            &["services.frontend.autoscaling.max: the greatest number of tasks, 2, is below the least, 3"],
        ),
        (
            json!({"services": {"frontend": {"deployment": {"strategy": "rolling", "percent": 25, "bake": "10m", "every": "1m"}}}}),
            &[
                "services.frontend.deployment.percent: `percent` does not go with the strategy `rolling` (it takes `alarms` alone; leave `percent` out, or write `strategy = \"canary\"`)",
                "services.frontend.deployment.every: `every` does not go with the strategy `rolling` (it takes `alarms` alone; leave `every` out, or write `strategy = \"linear\"`)",
                "services.frontend.deployment.bake: `bake` does not go with the strategy `rolling` (it takes `alarms` alone; leave `bake` out, or write `strategy = \"canary\"`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"deployment": {"strategy": "canary", "percent": 0.05, "bake": "90s", "every": "1m"}}}}),
            &[
                "services.frontend.deployment.every: `every` does not go with the strategy `canary` (it takes `percent`, `bake` and `alarms`; leave `every` out, or write `strategy = \"linear\"`)",
                "services.frontend.deployment.percent: the strategy `canary` takes 0.1 to 100 per cent, found 0.05",
                "services.frontend.deployment.bake: `90s` is not a whole number of minutes (write it like `10m` or `1h 30m`, up to `24h`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"deployment": {"strategy": "linear", "percent": 2.9, "bake": "25h", "every": "soon"}}}}),
            &[
                "services.frontend.deployment.percent: the strategy `linear` takes 3 to 100 per cent, found 2.9",
                "services.frontend.deployment.bake: `25h` is more than a day (write it like `10m` or `1h 30m`, up to `24h`)",
                "services.frontend.deployment.every: `soon` is not a whole number of minutes (write it like `10m` or `1h 30m`, up to `24h`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"deployment": {"strategy": "linear", "percent": 12.34}}}}),
            &["services.frontend.deployment.percent: ECS counts in tenths of a per cent, found 12.34"],
        ),
        (
            json!({"services": {"frontend": {"deployment": {"alarms": {"names": ["", "mine"]}}}}}),
            &["services.frontend.deployment.alarms.names.0: an alarm's name has 1 to 255 characters, found ``"],
        ),
        // What would keep a rolling deployment from moving does not matter here.
        (
            json!({"services": {"frontend": {"maximum_percent": 100, "deployment": {"strategy": "canary", "percent": 25, "bake": "10m"}}}}),
            &[],
        ),
        (
            json!({"services": {"frontend": {"deployment": {"strategy": "blue_green"}}, "backend": {"target_group": "frontend-tg-alt", "path": "/*", "priority": 50000}}}),
            &[
                "services.backend.priority: the priority 50000 is that of the rule in which ECS shifts `frontend`",
                "services.backend.path: the path `/*` is that of the rule in which ECS shifts `frontend`",
                "services.backend.target_group: the target group `frontend-tg-alt` of `backend` is also the second one of `frontend`",
            ],
        ),
        (
            json!({"services": {"frontend": {"health_path": "health", "log_group": "a b", "family": "a b", "container": "", "task_role": "a b", "name": "a".repeat(256)}}}),
            &[
                "services.frontend.name: the service name `aaaaaaaaaaaaaaaaaaaaaaaa…` has 256 characters, at most 255 are allowed",
                "services.frontend.family: the task definition family `a b` holds ' ', only letters, digits, hyphens and underscores are allowed",
                "services.frontend.container: the container name is empty",
                "services.frontend.task_role: the role name `a b` holds ' ', only letters, digits and _+=,.@- are allowed",
                "services.frontend.log_group: the log group `a b` holds ' ', only letters, digits and _-/.# are allowed",
                "services.frontend.health_path: the health path `health` does not start with a slash",
            ],
        ),
        (
            json!({"services": {"frontend": {"path": "/x/*"}}}),
            &[
                "services.frontend.path: the path of `frontend` has no `priority` (`priority = 200` is free)",
                "services: every service has a path: one without must take everything else",
            ],
        ),
        (
            json!({"services": {"frontend": {"priority": 5}}}),
            &[
                "services.frontend.priority: a priority without a `path` or a `host` (the service with neither takes what no rule matches, and has no priority)",
            ],
        ),
        (
            json!({"services": {"frontend": {"path": "/api/*", "priority": 100}}}),
            &[
                "services: every service has a path: one without must take everything else",
                "services.backend.path: the path `/api/*` of `backend` is also that of `frontend`",
                "services.frontend.path: the path `/api/*` of `frontend` is also that of `backend`",
                "services.backend.priority: the priority `100` of `backend` is also that of `frontend` (`priority = 200` is free)",
                "services.frontend.priority: the priority `100` of `frontend` is also that of `backend` (`priority = 200` is free)",
            ],
        ),
        (
            json!({"services": {"backend": {"path": null, "priority": null}}}),
            &[
                "services.backend: `backend` has no path, and `frontend` has none either (only one service takes what no path matches; give the others a `path` and a `priority` (100 is free))",
                "services.frontend: `frontend` has no path, and `backend` has none either (only one service takes what no path matches; give the others a `path` and a `priority` (100 is free))",
            ],
        ),
        (json!({"services": {"frontend": null, "backend": null}}), &["services: a stack needs a service"]),
        (
            json!({"services": {
                "backend": {"path": ["/api/*", "/api/*", "v2"], "host": "example"},
                "x": {"path": "/x", "host": ["a.example.com", "b_c.example.com"], "priority": 1},
                "y": {"path": ["/y", "/x"], "host": "A.example.com", "priority": 2},
                "z": {"host": "z.example.com"},
            }}),
            &[
                "services.backend.host: the host name `example` does not end in a dot and letters, such as `.com`",
                "services.backend.path.1: `/api/*` stands here twice",
                "services.backend.path.2: the path pattern `v2` does not start with a slash, so it matches nothing",
                "services.x.host.1: the host name `b_c.example.com` holds '_', only letters, digits and -.*? are allowed",
                "services.z.host: the host of `z` has no `priority` (`priority = 200` is free)",
                "services.x.path: the path `/x` at the host `a.example.com` of `x` is also that of `y`",
                "services.y.path: the path `/x` at the host `a.example.com` of `y` is also that of `x`",
            ],
        ),
        (
            json!({"services": {"x": {"path": ["/a", "/b", "/c", "/d"], "host": ["a.b.com", "*.*.com"], "priority": 1}}}),
            &[
                "services.x.path: `x` has 6 hosts and paths, a rule has at most 5 (a wildcard stands for many; or make it two services)",
            ],
        ),
        (
            json!({"alb": {"load_balancer_arn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/theirs/1", "listener_arn": "arn:x", "ssl_policy": "x"}}),
            &[
                "alb.ssl_policy: `ssl_policy` without a certificate (give `certificate_arn`, or a table `[alb.certificate]`)",
                "alb.ssl_policy: `x` is not the name of a security policy (a name is written like `ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09`)",
                "alb.load_balancer_arn: the load balancer is in eu-west-1, the stack in us-east-1",
                "alb.listener_arn: that is no listener of the load balancer",
                "alb.ssl_policy: the load balancer is somebody else's, and so is its listener: `ssl_policy` would change it",
                "alb.load_balancer_arn: the tasks must let the load balancer in, and its security group is not named (name it as `sg.alb_security_group_id`)",
                "services.frontend: `frontend` has neither host nor path, and the load balancer is not the stack's own (what no rule matches is somebody else's there: give it a `host` or a `path`, and a `priority`)",
            ],
        ),
        (
            json!({"services": {"backend": {"path": "api/*"}}}),
            &["services.backend.path: the path pattern `api/*` does not start with a slash, so it matches nothing"],
        ),
        (
            json!({"services": {"backend": {"path": "/a b"}}}),
            &[
                r#"services.backend.path: the path pattern `/a b` holds ' ', only letters, digits and _-.$/~"'@:+&*? are allowed"#,
            ],
        ),
        (
            json!({"services": {"backend": {"path": "/*/*/*/*/*/*"}}}),
            &["services.backend.path: the path pattern `/*/*/*/*/*/*` has 6 wildcards, a rule has at most 5"],
        ),
        (
            json!({"services": {"backend": {"priority": 50000}, "x": {"path": "/x"}}}),
            &["services.x.path: the path of `x` has no `priority` (`priority = 1` is free)"],
        ),
        (
            json!({"services": {"backend": {"name": "frontend-service", "family": "frontend-task", "target_group": "frontend-tg", "task_role": "FRONTENDTASKROLE"}}}),
            &[
                "services.backend.name: the service name `frontend-service` of `backend` is also that of `frontend`",
                "services.frontend.name: the service name `frontend-service` of `frontend` is also that of `backend`",
                "services.backend.family: the task definition family `frontend-task` of `backend` is also that of `frontend`",
                "services.frontend.family: the task definition family `frontend-task` of `frontend` is also that of `backend`",
                "services.backend.target_group: the target group `frontend-tg` of `backend` is also that of `frontend`",
                "services.frontend.target_group: the target group `frontend-tg` of `frontend` is also that of `backend`",
                "services.backend.task_role: the task role `FRONTENDTASKROLE` of `backend` is also that of `frontend`",
                "services.frontend.task_role: the task role `frontendTaskRole` of `frontend` is also that of `backend`",
            ],
        ),
        (
            json!({"services": {"My_Service": {"path": "/m", "priority": 1}, "very-long-name-of-a-service-here": {"path": "/v", "priority": 2}}}),
            &[
                "services.My_Service: `My_Service` cannot be the short name of a service (lower-case letters, digits and hyphens, a letter first: names are made from it)",
                "services.very-long-name-of-a-service-here.target_group: the target group name `very-long-name-of-a-serv…` has 35 characters, at most 32 are allowed (it is made from the short name; give `target_group`)",
            ],
        ),
    ]);
}

/// Each row: what is patched into the frontend, and all that is then wrong.
#[test]
fn containers_fit_into_their_task_and_do_not_wait_in_a_circle() {
    let sidecar = |more: Value| {
        let mut sidecar = json!({"image": "agent:1"});
        json_patch::merge(&mut sidecar, &more);
        sidecar
    };
    let check = |command: Value| json!({"health_check": {"command": command}});
    let rows: &[(Value, &[&str])] = &[
        (json!({"memory_reservation": 1023, "architecture": "arm64", "exec": true, "command": ["a"]}), &[]),
        (
            json!({"memory_reservation": 1024}),
            &["memory_reservation: 1024 MiB kept for the container are not less than the 1024 MiB there are"],
        ),
        (check(json!("true")), &[]),
        (check(json!(["CMD", "/bin/true"])), &[]),
        (
            check(json!(" ")),
            &[
                r#"health_check.command: a health check needs a command (write a line for the shell, or `["CMD", "/bin/check"]`)"#,
            ],
        ),
        (
            check(json!(["curl", "x"])),
            &[
                r#"health_check.command: a health check's command starts with `CMD` or `CMD-SHELL`, found `curl` (write a line for the shell, or `["CMD", "/bin/check"]`)"#,
            ],
        ),
        (
            check(json!(["CMD"])),
            &[
                r#"health_check.command: nothing follows `CMD` (write a line for the shell, or `["CMD", "/bin/check"]`)"#,
            ],
        ),
        (json!({"spot": {"base": 1, "weight": 4}}), &[]),
        (json!({"spot": {"on_demand": 0, "weight": 0}}), &["spot.weight: no task could run: both shares are 0"]),
        (
            json!({"spot": {"base": 1, "on_demand": 0}}),
            &["spot.base: no task runs on demand with `on_demand = 0` (`on_demand = 1` or more, or no `base`)"],
        ),
        (
            json!({"sidecars": {"agent": sidecar(json!({"memory": 256, "cpu": 128, "port": 4317}))}, "depends_on": {"agent": "start"}}),
            &[],
        ),
        (
            json!({"sidecars": {"frontend": sidecar(json!({"port": 80})), "a b": {"image": "?"}}}),
            &[
                "sidecars.\"a b\": the container name `a b` holds ' ', only letters, digits, hyphens and underscores are allowed",
                "sidecars.\"a b\".image: `?` is not an image reference (write it like `public.ecr.aws/nginx/nginx:1.29`)",
                "sidecars.frontend: the sidecar `frontend` has the name of the container that serves",
                "sidecars.frontend.port: the port 80 of `frontend` is also that of `frontend` in the same task",
            ],
        ),
        (
            json!({"memory_reservation": 900, "sidecars": {"agent": sidecar(json!({"memory": 256, "memory_reservation": 256, "cpu": 1024}))}}),
            &[
                "sidecars.agent.memory_reservation: 256 MiB kept for `agent` are not less than the 256 MiB that it may use",
                "sidecars: the containers are kept 1156 MiB, the task has 1024",
                "sidecars: the containers are kept 1024 CPU units, the task has 512",
            ],
        ),
        (
            json!({"sidecars": {"agent": sidecar(json!({"environment": {"A": "1"}, "secrets": {"A": "/nowhere/at/all"}}))}}),
            &[
                "sidecars.agent.secrets.A: a secret that points nowhere: there is no parameter `/nowhere/at/all` (add it to `parameters`, or give the ARN of a parameter that is there already)",
                "sidecars.agent.secrets.A: `A` is in `environment` and in `secrets` (ECS takes each variable once)",
            ],
        ),
        (
            json!({"sidecars": {"agent": sidecar(json!({}))}, "depends_on": {"agnet": "start", "agent": "healthy"}}),
            &[
                "depends_on.agent: `agent` has no `health_check` that could pass",
                "depends_on.agnet: the service `frontend` has no container `agnet` (did you mean `agent`?)",
            ],
        ),
        (
            json!({"sidecars": {"agent": sidecar(json!({}))}, "depends_on": {"agent": "success"}}),
            &["depends_on.agent: `agent` is essential: the task ends with it"],
        ),
        (
            json!({"sidecars": {"agent": sidecar(json!({"depends_on": {"frontend": "start"}}))}, "depends_on": {"agent": "start"}}),
            &["`agent` and `frontend` wait for each other (one of them has to start first)"],
        ),
    ];
    for (patch, expected) in rows {
        let found = mistakes(&json!({"services": {"frontend": patch}}));
        let place = |line: String| {
            let line = line.strip_prefix("services.frontend").map(str::to_owned).unwrap_or(line);
            line.trim_start_matches(['.', ':', ' ']).to_owned()
        };
        assert_eq!(found.into_iter().map(place).collect::<Vec<_>>(), *expected, "{patch}");
    }
}
