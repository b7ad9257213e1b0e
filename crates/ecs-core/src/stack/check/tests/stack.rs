//! What is wrong with the stack itself, its roles and its parameters.

use serde_json::{Value, json};

use super::*;

#[test]
fn every_mistake_in_the_stack_itself_says_where_what_and_what_to_do() {
    assert_mistakes(&[
        (json!({"name": ""}), &["name: the stack name is empty"]),
        (json!({"name": "1a"}), &["name: the stack name `1a` does not start with a letter"]),
        (json!({"name": "a-"}), &["name: the stack name `a-` starts or ends with a hyphen"]),
        (
            json!({"name": "a".repeat(41)}),
            &["name: the stack name `aaaaaaaaaaaaaaaaaaaaaaaa…` has 41 characters, at most 40 are allowed"],
        ),
        (json!({"account": "12"}), &["account: an AWS account is twelve digits, found `12`"]),
        (
            json!({"region": "us-east-1a"}),
            &["region: `us-east-1a` is not the name of an AWS region (that is a zone; its region is `us-east-1`)"],
        ),
        (
            json!({"region": "mars"}),
            &[
                "region: `mars` is not the name of an AWS region (a region is written like `us-east-1` or `us-gov-west-1`)",
            ],
        ),
        (
            json!({"iam": {"execution_role": "a b", "parameter_policy": "", "execution_role_description": "–"}}),
            &[
                "iam.execution_role: the role name `a b` holds ' ', only letters, digits and _+=,.@- are allowed",
                "iam.parameter_policy: the policy name is empty",
                "iam.execution_role_description: the role description `–` holds '–', only printable Latin-1 characters are allowed",
            ],
        ),
        (
            json!({"iam": {"execution_role": "FRONTENDtaskrole"}}),
            &[
                "services.frontend.task_role: the task role of `frontend` is the execution role `FRONTENDtaskrole` (the containers could then read every parameter of the stack)",
            ],
        ),
        (
            json!({"account": "210987654321", "alb": {"certificate_arn": "arn:aws:acm:eu-west-1:123456789012:certificate/x"}}),
            &[
                "alb.certificate_arn: the certificate is in eu-west-1, the load balancer in us-east-1 (request or import the certificate in us-east-1)",
                "alb.certificate_arn: the certificate belongs to account 123456789012, the stack to 210987654321",
            ],
        ),
        (
            json!({"parameters": {"x": "1", "/aws/x": "1", "/a//b": "1", "/a b": "1", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16": "1"}}),
            &[
                r#"parameters."/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16": the parameter name `/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16` has 16 levels, at most 15 are allowed"#,
                r#"parameters."/a b": the parameter name `/a b` holds ' ', only letters, digits and _.-/ are allowed"#,
                r#"parameters."/a//b": the parameter name `/a//b` has an empty level"#,
                r#"parameters."/aws/x": the parameter name `/aws/x` starts with `aws` or `ssm`, which AWS keeps for itself"#,
                "parameters.x: the parameter name `x` does not start with a slash (`/ecs/x`, say)",
            ],
        ),
        (
            json!({"parameters": {"/a": "${db.hst}", "/b": "${nothing}", "/c": "${db.host", "/d": "", "/e": "${db.host}${alb.url}", "/f": "${db.secret_arn}"}}),
            &[
                r#"parameters."/a": unknown reference `${db.hst}` (did you mean `${db.host}`?)"#,
                r#"parameters."/b": unknown reference `${nothing}` (there are `${db.host}`, `${db.port}`, `${db.name}`, `${db.user}`, `${db.password}`, `${alb.dns_name}` and `${alb.url}`)"#,
                r#"parameters."/c": a `${` is not closed by `}`"#,
                r#"parameters."/d": a parameter cannot be empty"#,
                r#"parameters."/e": a parameter can refer to the database or to the load balancer, not to both (make two parameters, and put them together in the container)"#,
                r#"parameters."/f": unknown reference `${db.secret_arn}` (write `${db.secret_arn}` in the service's `secrets`, not in a parameter)"#,
            ],
        ),
        (
            json!({"parameters": {"/p": "${db.password}", "/q": {"value": "x${db.password}", "secure": true}, "/r": {"value": "hunter2", "secure": true}, "/s": "x".repeat(4097)}}),
            &[
                r#"parameters."/p": the database's password would be readable in a parameter that is not secure (write `{ value = "${db.password}", secure = true }`)"#,
                r#"parameters."/q".value: `${db.password}` must stand alone in its parameter (make a parameter of its own for the password, and put them together in the container)"#,
                r#"parameters."/r".value: a secret must not stand in a stack file (make the parameter yourself, and give its ARN in the service's `secrets`; if it is none, leave out `secure`)"#,
                r#"parameters."/s": a parameter holds at most 4096 bytes, this one has 4097"#,
            ],
        ),
        (
            json!({"parameters": {"/ecs/backend/DB_PASSWORD": null}, "services": {"backend": {"secrets": {"DB_PASSWORD": null}}}}),
            &[
                r#"db.password: the database's password would be kept nowhere (add a parameter: `[parameters] "/ecs/backend/DB_PASSWORD" = { value = "${db.password}", secure = true }`; or let RDS keep it: `password = "secrets_manager"`)"#,
            ],
        ),
        (
            json!({
                "region": "us-east-1",
                "cluster": {"arn": "arn:aws:ecs:eu-west-1:123456789012:cluster/theirs", "name": "mine"},
                "services": {"frontend": {
                    "connect": {"port": 80},
                    "volumes": {"data": {
                        "file_system": "efs-1", "access_point": "fsap-0123456789abcdef0", "path": "data", "root_directory": "/x"
                    }}
                }}
            }),
            &[
                "cluster.arn: the cluster is in eu-west-1, the stack is not",
                "cluster.name: `arn` and `name` exclude each other (`arn` is of a cluster that exists, `name` of one that this stack makes)",
                "services.frontend.volumes.data.file_system: `efs-1` is not the id of a file system",
                "services.frontend.volumes.data.path: the directory `data` does not start with `/`",
                "services.frontend.volumes.data.root_directory: `access_point` and `root_directory` exclude each other (an access point has its own directory)",
                "services.frontend.connect: `frontend` connects to nothing: the cluster has no `namespace` (`[cluster]`, `namespace = \"…\"`)",
                "services.frontend.connect.port: a `port` without a `name` (a service without a name only reaches the others)",
            ],
        ),
        (
            json!({
                "region": "us-east-1",
                "alarms": {"topic": "oncall"},
                "services": {"frontend": {"alarms": {"cpu": 80, "topic": "arn:aws:sns:eu-west-1:123456789012:oncall"}}}
            }),
            &[
                "alarms.topic: `oncall` is not the ARN of an SNS topic (`aws sns list-topics` prints them)",
                "services.frontend.alarms.topic: the topic `arn:aws:sns:eu-west-1:123456789012:oncall` is not in us-east-1, where the alarms are",
            ],
        ),
        (
            json!({"iam": {"infrastructure_role": "ecstaskexecutionrole", "github": {"repository": "org", "branch": "release/*", "environment": "", "role": "backendTaskRole"}}, "services": {"frontend": {"deployment": {"strategy": "blue_green"}}}}),
            &[
                "iam.infrastructure_role: `iam.execution_role` and `iam.infrastructure_role` are the same role `ecstaskexecutionrole`",
                "iam.github.repository: `org` is not a repository at GitHub (write `organisation/repository`)",
                "iam.github.environment: `branch` and `environment` exclude each other (a job in an environment is known by that alone; let the environment allow only the branch)",
                "iam.github.branch: the branch's name `release/*` holds '*'",
                "iam.github.environment: the environment's name is empty",
                "services.backend.task_role: the task role of `backend` is the deploy role `backendTaskRole` (the containers could then deploy)",
            ],
        ),
        (json!({"iam": {"github": {"repository": "org/repo.js", "environment": "production"}}}), &[]),
        (
            json!({"iam": {"ci_user": {"name": "a/b"}}, "services": {"frontend": {"task_role": "ecs-production-deploy"}}}),
            &[
                "iam.ci_user.name: the user name `a/b` holds '/', only letters, digits and _+=,.@- are allowed",
                "services.frontend.task_role: the task role of `frontend` is the deploy role `ecs-production-deploy` (the containers could then deploy)",
            ],
        ),
        (json!({"iam": {"ci_user": {}}}), &[]),
    ]);
}

#[test]
fn a_statement_names_actions_and_resources_and_a_boundary_is_a_policy() {
    let one = |statement: Value| json!({"services": {"backend": {"policy": [statement]}}});
    let place = "services.backend.policy.0";
    let fine = json!({"actions": ["s3:Get*", "*"], "resources": ["*", "arn:aws:s3:::b/${aws:username}/*"]});
    assert_eq!(mistakes(&one(fine)), [""; 0]);
    let rows = [
        (json!({"actions": [], "resources": ["*"]}), "actions: a statement needs an action"),
        (json!({"actions": ["s3:*"], "resources": []}), "resources: a statement needs a resource"),
        (
            json!({"actions": ["GetObject"], "resources": ["*"]}),
            "actions.0: `GetObject` is not an action (write it like `s3:GetObject`)",
        ),
        (
            json!({"actions": ["s3:*"], "resources": ["bucket"]}),
            "resources.0: `bucket` is not an ARN (write it like `arn:aws:s3:::bucket/*`)",
        ),
        (
            json!({"actions": ["s3:*"], "resources": ["*"], "conditions": {"Bool": {}}}),
            "conditions.Bool: the condition `Bool` says nothing (write it like `{ StringEquals = { \"aws:RequestedRegion\" = \"eu-west-1\" } }`)",
        ),
    ];
    for (statement, wrong) in rows {
        assert_eq!(mistakes(&one(statement)), [format!("{place}.{wrong}")]);
    }
    let statements = json!({"iam": {"execution_statements": [{"actions": ["x"], "resources": ["*"]}]}});
    let wrong = "iam.execution_statements.0.actions.0: `x` is not an action (write it like `s3:GetObject`)";
    assert_eq!(mistakes(&statements), [wrong]);
    let boundary = |arn: &str| mistakes(&json!({"iam": {"permissions_boundary": arn}}));
    for arn in ["arn:aws:iam::123456789012:policy/path/limit", "arn:aws:iam::aws:policy/PowerUserAccess"] {
        assert_eq!(boundary(arn), [""; 0], "{arn}");
    }
    assert_eq!(
        boundary("limit"),
        [
            "iam.permissions_boundary: `limit` is not the ARN of a managed policy (write `arn:aws:iam::ACCOUNT:policy/NAME`)"
        ]
    );
}
