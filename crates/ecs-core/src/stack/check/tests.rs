use serde_json::{Value, json};

use super::*;
use crate::stack::Zones;

/// Returns what is wrong with the default stack after a merge patch, as `place: message (hint)`.
fn mistakes(patch: &Value) -> Vec<String> {
    let mut value = serde_json::to_value(Stack::default()).unwrap();
    json_patch::merge(&mut value, patch);
    let stack: Stack = serde_json::from_value(value).unwrap();
    let line = |mistake: Mistake| {
        let hint = mistake.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", dotted(&mistake.pointer), mistake.message)
    };
    check(&stack, Some("us-east-1")).into_iter().map(line).collect()
}

/// Each row: a patch of the default stack, and all that is then wrong.
#[test]
fn every_mistake_says_where_what_and_what_to_do() {
    let rows: &[(Value, &[&str])] = &[
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
        (json!({"net": {"cidr": "10.0.0.0/8"}}), &["net.cidr: a VPC has a range of /16 to /24, found 10.0.0.0/8"]),
        (
            json!({"net": {"cidr": "10.0.0.0/26"}}),
            &[
                "net.cidr: a VPC has a range of /16 to /24, found 10.0.0.0/26 (down to /28 with both `public_cidrs` and `private_cidrs` given)",
            ],
        ),
        (
            json!({"net": {"cidr": "10.0.0.1/16"}}),
            &["net.cidr: 10.0.0.1/16 has bits set after its first 16 (did you mean `10.0.0.0/16`?)"],
        ),
        (
            json!({"net": {"cidr": "10.0.0.0/26", "public_cidrs": ["10.0.0.0/28", "10.0.0.16/28"], "private_cidrs": ["10.0.0.32/28", "10.0.0.48/28"]}}),
            &[],
        ),
        (
            json!({"net": {"zones": ["a"]}}),
            &["net.zones: a load balancer and a database need two zones or more, found 1"],
        ),
        (json!({"net": {"zones": 3, "nat": "regional"}}), &[]),
        (json!({"net": {"zones": 1}}), &["net.zones: a load balancer and a database need two zones or more, found 1"]),
        (json!({"net": {"zones": ["a", "us-east-1a"]}}), &["net.zones.1: the zone `us-east-1a` is the same as `a`"]),
        (
            json!({"net": {"zones": ["a", "eu-west-1b"]}}),
            &["net.zones.1: the zone `eu-west-1b` is not in us-east-1 (write its letter alone, or `us-east-1b`)"],
        ),
        (
            json!({"net": {"zones": ["a", "use1-az2"]}}),
            &[
                "net.zones.1: `use1-az2` is not an availability zone (write a letter such as `a`, or a full name such as `us-east-1a`)",
            ],
        ),
        (
            json!({"net": {"cidr": "10.0.0.0/24", "zones": ["a", "b", "c", "d", "e", "f", "g", "h"]}}),
            &[
                "net.cidr: 10.0.0.0/24 has no room for the private subnets of 8 zones (give a larger range, or `public_cidrs` and `private_cidrs`)",
            ],
        ),
        (json!({"net": {"nat": "single", "database_subnets": true}}), &[]),
        (json!({"net": {"nat": "none"}}), &[]),
        (
            json!({"net": {"nat": "none", "gateway_endpoints": ["dynamodb"]}}),
            &[
                "net.nat: without a NAT gateway tasks have no way to pull images, to write logs, to read parameters (add `ecr.api`, `ecr.dkr`, `logs` and `ssm` to `interface_endpoints` and `s3` to `gateway_endpoints`)",
            ],
        ),
        (
            json!({"net": {"vpc_id": "vpc-01234567", "public_subnet_ids": ["subnet-01234567", "subnet-01234568"], "private_subnet_ids": ["subnet-01234569", "subnet-0123456a"]}}),
            &[],
        ),
        (
            json!({"net": {"vpc_id": "vpc-1", "public_subnet_ids": ["subnet-0123456789abcdef0"], "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-01234567"], "nat": "single", "cidr": "10.1.0.0/16"}}),
            &[
                "net.vpc_id: `vpc-1` is not the id of a VPC",
                "net.public_subnet_ids: two public subnets or more are needed, in two zones, found 1",
                "net.private_subnet_ids.0: `subnet-0123456789abcdef0` is one of the public subnets already",
                "net.cidr: `cidr` is for a VPC that ecs-net makes, and `vpc_id` names one that there is (leave out `cidr`, or `vpc_id` and the subnets' ids)",
                "net.nat: `nat` is for a VPC that ecs-net makes, and `vpc_id` names one that there is (leave out `nat`, or `vpc_id` and the subnets' ids)",
            ],
        ),
        (
            json!({"net": {"private_subnet_ids": ["subnet-01234567", "subnet-01234568"]}}),
            &["net.private_subnet_ids: subnets of a VPC that is not named (`vpc_id` names it)"],
        ),
        (
            json!({"net": {"nat": "none", "interface_endpoints": ["ecr.api", "com.amazonaws.us-east-1.ecr.dkr", "logs", "ssm"]}}),
            &["net.nat: without a NAT gateway tasks have no way to pull images (add `s3` to `gateway_endpoints`)"],
        ),
        (
            json!({"net": {"nat": "none", "gateway_endpoints": ["s3"], "interface_endpoints": ["ecr.api", "ecr.dkr", "logs", "ssm"]}}),
            &[],
        ),
        (
            json!({"net": {"gateway_endpoints": ["s3", "s3"], "interface_endpoints": ["logs", "dynamodb", "Logs", "com.amazonaws.us-east-1.logs"]}}),
            &[
                "net.gateway_endpoints.1: `s3` stands here twice",
                "net.interface_endpoints.1: `dynamodb` has a gateway endpoint, which costs nothing (`gateway_endpoints = [\"dynamodb\"]`)",
                "net.interface_endpoints.2: `Logs` is not the name of a service with endpoints (`aws ec2 describe-vpc-endpoint-services` lists them; `ecr.api`, say)",
                "net.interface_endpoints.3: `com.amazonaws.us-east-1.logs` stands here twice",
            ],
        ),
        (
            json!({"net": {"cidr": "10.0.0.0/24", "zones": ["a", "b", "c", "d", "e", "f"], "database_subnets": true}}),
            &[
                "net.cidr: 10.0.0.0/24 has no room for the database subnets of 6 zones (give a larger range, or `public_cidrs`, `private_cidrs` and `database_cidrs`)",
            ],
        ),
        (
            json!({"net": {"database_cidrs": ["10.0.8.0/24", "10.0.9.0/24"]}}),
            &[
                "net.database_cidrs: ranges for database subnets, and no database subnets (`database_subnets = true` makes them)",
            ],
        ),
        (
            json!({"net": {"database_subnets": true, "database_cidrs": ["10.0.8.0/24"]}}),
            &["net.database_cidrs: 1 range for 2 zones: one for each is needed"],
        ),
        (
            json!({"net": {"database_subnets": true, "database_cidrs": ["10.0.3.0/24", "10.0.9.0/24"]}}),
            &[
                "net.database_cidrs.0: 10.0.3.0/24 overlaps the subnet 10.0.3.0/24, which is computed (give `private_cidrs` too)",
            ],
        ),
        (
            json!({"net": {"public_cidrs": ["10.0.1.0/24"]}}),
            &["net.public_cidrs: 1 range for 2 zones: one for each is needed"],
        ),
        (
            json!({"net": {"public_cidrs": ["10.0.3.0/24", "10.0.9.0/24"]}}),
            &[
                "net.public_cidrs.0: 10.0.3.0/24 overlaps the subnet 10.0.3.0/24, which is computed (give `private_cidrs` too)",
            ],
        ),
        (
            json!({"net": {"public_cidrs": ["10.0.7.0/24", "10.0.7.128/25"]}}),
            &["net.public_cidrs.1: 10.0.7.128/25 overlaps 10.0.7.0/24 (`public_cidrs`)"],
        ),
        (
            json!({"net": {"private_cidrs": ["10.1.0.0/24", "10.0.8.0/29"]}}),
            &[
                "net.private_cidrs.0: 10.1.0.0/24 is not inside the VPC's range 10.0.0.0/16",
                "net.private_cidrs.1: a subnet has a range of /16 to /28, found 10.0.8.0/29",
            ],
        ),
        (
            json!({"sg": {"alb_sources": []}}),
            &["sg.alb_sources: nobody may reach the load balancer (`0.0.0.0/0` lets everybody in)"],
        ),
        (
            json!({"sg": {"alb_ports": [8080, 8080], "rules": [{"group": "alb", "ports": "80-90", "peer": "0.0.0.0/0"}]}}),
            &["sg.alb_ports.1: 8080 stands here twice"],
        ),
        (
            json!({"sg": {"alb_ports": [443]}}),
            &["sg.alb_ports: the load balancer serves on 80, where nobody may reach it (add 80)"],
        ),
        (
            json!({"sg": {"alb_security_group_id": "sg-x", "alb_egress": "targets", "rules": [{"group": "alb", "ports": 8080, "peer": "tasks"}]}}),
            &[
                "sg.alb_security_group_id: `sg-x` is not the id of a security group (an id is written like `sg-0a1b2c3d4e5f67890`)",
                "sg.alb_egress: the load balancer's group is somebody else's, which is never changed (leave out `alb_egress` or `alb_security_group_id`)",
                "sg.rules.0.group: that group is somebody else's, which is never changed (leave out the rule or `alb_security_group_id`)",
            ],
        ),
        (
            json!({"sg": {"rules": [
                {"group": "tasks", "ports": "90-80", "peer": "10.0.0.1"},
                {"group": "tasks", "protocol": "icmp", "ports": 8, "peer": "fd00::1/8"},
                {"group": "tasks", "direction": "egress", "ports": 443, "peer": "pl-x"},
                {"group": "tasks", "ports": 443, "peer": "bastion (old)"},
                {"group": "tasks", "ports": "443", "peer": "bastion (old)", "description": "Büro"},
            ]}}),
            &[
                "sg.rules.0.ports: that is neither a port nor a range of ports (write 443, or \"8000-8080\")",
                "sg.rules.0.peer: `10.0.0.1` is not a range (write it like `10.0.0.1/32`)",
                "sg.rules.1.ports: only `tcp` and `udp` have ports",
                "sg.rules.1.peer: fd00::1/8 has bits set after its first 8 (did you mean `fd00::/8`?)",
                "sg.rules.2.peer: `pl-x` is not the id of a prefix list (write it like `pl-0a1b2c3d4e5f67890`)",
                "sg.rules.4.description: the description `Büro` holds 'ü', only letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* are allowed",
                "sg.rules.4: this rule stands here twice",
            ],
        ),
        (
            json!({"sg": {"alb_sources": ["10.1.1.1/8", "10.1.1.1/8"]}}),
            &[
                "sg.alb_sources.0: 10.1.1.1/8 has bits set after its first 8 (did you mean `10.0.0.0/8`?)",
                "sg.alb_sources.1: 10.1.1.1/8 has bits set after its first 8 (did you mean `10.0.0.0/8`?)",
                "sg.alb_sources.1: 10.1.1.1/8 stands here twice",
            ],
        ),
        (
            json!({"sg": {"alb_name": "sg-x", "tasks_name": "rds-sg", "db_description": "it's"}}),
            &[
                "sg.alb_name: a security group name must not start with `sg-`",
                r#"sg.db_description: the security group description `it's` holds '\'', only letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* are allowed"#,
                "sg.db_name: `sg.tasks_name` and `sg.db_name` are the same name `RDS-SG`",
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
            json!({"tables": {"orders": {"partition_key": {"name": "id", "type": "S"}}}, "services": {"frontend": {
                "environment": {"TABLE": "${table.orders.name}", "HOME": "${HOME}"},
                "policy": [{"actions": ["dynamodb:Query"], "resources": ["${table.orders.arn}", "${table.orders.arn}/index/*"]}],
            }}, "parameters": {"/x": "${table.orders.arn}"}}),
            &[],
        ),
        (
            json!({"tables": {"orders": {"partition_key": {"name": "id", "type": "S"}}}, "services": {"frontend": {
                "environment": {"TABLE": "${table.order.name}"},
                "policy": [{"actions": ["dynamodb:Query"], "resources": ["${table.orders.name}"]}],
            }}, "parameters": {"/x": "${table.orders.arn} ${alb.url}", "/y": "${table.orders}"}}),
            &[
                "parameters.\"/x\": a parameter can refer to a table or to the load balancer, not to both (make two parameters, and put them together in the container)",
                "parameters.\"/y\": unknown reference `${table.orders}` (did you mean `${table.orders.arn}`?)",
                "services.frontend.environment.TABLE: unknown reference `${table.order.name}` (did you mean `${table.orders.name}`?)",
                "services.frontend.policy.0.resources.0: `${table.orders.name}` is not an ARN (write it like `arn:aws:s3:::bucket/*`)",
            ],
        ),
        (
            json!({"services": {"frontend": {"environment": {"TABLE": "${table.orders.name}"}}}}),
            &[
                "services.frontend.environment.TABLE: unknown reference `${table.orders.name}` (the stack has no `[tables.…]`)",
            ],
        ),
        (
            json!({"tables": {"Orders": {
                "name": "a b", "partition_key": {"name": "id", "type": "S"}, "sort_key": {"name": "id", "type": "N"},
                "encryption": "kms", "ttl": "",
                "indexes": {"x": {"partition_key": {"name": "day", "type": "N"}, "projection": []}},
            }, "b": {
                "name": "same", "partition_key": {"name": "id", "type": "S"}, "ttl": "id",
                "encryption": "arn:aws:kms:eu-west-1:123456789012:key/k",
                "local_indexes": {"by-day": {"sort_key": {"name": "day", "type": "S"}}},
            }, "c": {
                "name": "same", "partition_key": {"name": "id", "type": "S"},
                "encryption": "arn:aws:kms:us-east-1:123456789012:alias/k",
            }}}),
            &[
                "tables.Orders: `Orders` cannot be the short name of a table (lower-case letters, digits and hyphens, a letter first: references are made with it)",
                "tables.Orders.name: the table name `a b` holds ' ', only letters, digits and _-. are allowed",
                "tables.Orders.sort_key.type: `id` is `N` here and `S` before",
                "tables.Orders.sort_key.name: `id` is the partition key already",
                "tables.Orders.indexes.x: the index name `x` has fewer than 3 characters",
                "tables.Orders.indexes.x.projection: a projection lists attributes (`\"keys_only\"` holds none but the keys, `\"all\"` all of them)",
                "tables.Orders.ttl: an attribute's name has 1 to 255 characters, found ``",
                "tables.Orders.encryption: expected `aws_owned`, `aws_managed` or the ARN of a KMS key, found `kms` (a KMS key is `arn:aws:kms:REGION:ACCOUNT:key/ID`)",
                "tables.b.local_indexes: a local secondary index sorts in another way, and the table has no `sort_key`",
                "tables.b.ttl: `id` must be a number to say when an item expires",
                "tables.b.encryption: the key is in eu-west-1, the table in us-east-1",
                "tables.c.name: the table `same` of `c` is also that of `b`",
                "tables.c.encryption: `arn:aws:kms:us-east-1:123456789012:alias/k` is not the ARN of a KMS key (a KMS key is `arn:aws:kms:REGION:ACCOUNT:key/ID`; an alias is none)",
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
            json!({"account": "210987654321", "alb": {"certificate_arn": "arn:aws:acm:eu-west-1:123456789012:certificate/x"}}),
            &[
                "alb.certificate_arn: the certificate is in eu-west-1, the load balancer in us-east-1 (request or import the certificate in us-east-1)",
                "alb.certificate_arn: the certificate belongs to account 123456789012, the stack to 210987654321",
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
            json!({"db": {"identifier": "A"}}),
            &["db.identifier: the database identifier `A` must start with a lower-case letter"],
        ),
        (
            json!({"db": {"identifier": "a--b"}}),
            &["db.identifier: the database identifier `a--b` must not end with a hyphen or have two in a row"],
        ),
        (
            json!({"db": {"identifier": "a_b"}}),
            &[
                "db.identifier: the database identifier `a_b` holds '_', only lower-case letters, digits and hyphens are allowed",
            ],
        ),
        (
            json!({"db": {"subnet_group": "default"}}),
            &["db.subnet_group: the DB subnet group's name `default` belongs to RDS"],
        ),
        (
            json!({"db": {"subnet_group": "Group", "subnet_group_description": ""}}),
            &[
                "db.subnet_group: the DB subnet group's name `Group` must start with a lower-case letter",
                "db.subnet_group_description: the DB subnet group's description is empty",
            ],
        ),
        (
            json!({"db": {"engine_version": "latest"}}),
            &[
                "db.engine_version: `latest` is not a PostgreSQL version (write a major version such as `17`, a full one such as `17.6`, or leave it out for the newest)",
            ],
        ),
        (
            json!({"db": {"engine_version": "17.6.1"}}),
            &[
                "db.engine_version: `17.6.1` is not a PostgreSQL version (write a major version such as `17`, a full one such as `17.6`, or leave it out for the newest)",
            ],
        ),
        (
            json!({"db": {"instance_class": "t3.medium"}}),
            &["db.instance_class: `t3.medium` is not a DB instance class (did you mean `db.t3.medium`?)"],
        ),
        (
            json!({"db": {"instance_class": "large"}}),
            &["db.instance_class: `large` is not a DB instance class (a class is written like `db.t3.medium`)"],
        ),
        (
            json!({"db": {"storage_type": "io1"}}),
            &[
                "db.storage_type: expected `gp2`, `gp3` or `standard`, found `io1` (`io1` and `io2` need a number of IOPS, which the stack file has no key for)",
            ],
        ),
        (
            json!({"db": {"storage_type": "pg3"}}),
            &["db.storage_type: expected `gp2`, `gp3` or `standard`, found `pg3` (did you mean `gp3`?)"],
        ),
        (
            json!({"db": {"storage_type": "standard", "allocated_storage": 4000}}),
            &["db.allocated_storage: standard storage is 10 to 3072 GiB, found 4000"],
        ),
        (
            json!({"db": {"allocated_storage": 105, "max_allocated_storage": 115}}),
            &[
                "db.max_allocated_storage: storage autoscaling needs at least 10 % above 105 GiB, found 115 (at least 116; leave it out for no autoscaling)",
            ],
        ),
        (
            json!({"db": {"user": "admin"}}),
            &["db.user: RDS keeps the user name `admin` for itself (`postgres` is the usual one)"],
        ),
        (
            json!({"db": {"user": "pg_x"}}),
            &["db.user: RDS keeps the user name `pg_x` for itself (`postgres` is the usual one)"],
        ),
        (
            json!({"db": {"user": "1a", "database": "my-db"}}),
            &[
                "db.database: the database name `my-db` holds '-', only letters, digits and underscores are allowed",
                "db.user: the user name `1a` does not start with a letter",
            ],
        ),
        (
            json!({"db": {"database": "user"}}),
            &["db.database: the database name `user` is a word that PostgreSQL reserves"],
        ),
        (
            json!({"db": {"enabled": false}}),
            &[
                "parameters: the default parameters refer to the database, and `db.enabled` is false (give `parameters` of your own, and `services` that read them: a file that has any has only those)",
            ],
        ),
        (
            json!({"db": {"password": "secrets_manager"}}),
            &[
                r#"parameters."/ecs/backend/DB_PASSWORD".value: the parameter `/ecs/backend/DB_PASSWORD` cannot hold the password: Secrets Manager keeps it (leave it out of `parameters`, and write `services.backend.secrets.DB_PASSWORD = "${db.secret_arn}:password::"`)"#,
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
            json!({"db": {"enabled": false}, "parameters": {"/ecs/backend/DB_PASSWORD": null}, "services": {"backend": {"secrets": {"DB_PASSWORD": "${db.secret_arn}:password::"}}}}),
            &[
                r#"parameters."/ecs/backend/DB_HOST": the parameter `/ecs/backend/DB_HOST` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_HOST`)"#,
                r#"parameters."/ecs/backend/DB_NAME": the parameter `/ecs/backend/DB_NAME` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_NAME`)"#,
                r#"parameters."/ecs/backend/DB_PORT": the parameter `/ecs/backend/DB_PORT` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_PORT`)"#,
                r#"parameters."/ecs/backend/DB_USER".value: the parameter `/ecs/backend/DB_USER` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_USER`)"#,
                "services.backend.secrets.DB_PASSWORD: `${db.secret_arn}` needs a database, and `db.enabled` is false",
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
    ];
    for (patch, expected) in rows {
        assert_eq!(&mistakes(patch), expected, "{patch}");
    }
}

#[test]
fn the_default_stack_is_right_in_every_region() {
    for region in [None, Some("us-east-1"), Some("ap-southeast-2"), Some("us-gov-west-1")] {
        assert_eq!(check(&Stack::default(), region), []);
    }
    assert!(check_all(&Stack::default()).is_ok());
}

#[test]
fn without_a_region_the_zones_must_agree_with_each_other() {
    let mut stack = Stack::default();
    stack.net.zones = Zones::Named(vec!["eu-west-1a".to_owned(), "eu-west-1b".to_owned()]);
    assert_eq!(check(&stack, None), []);
    stack.net.zones = Zones::Named(vec!["eu-west-1a".to_owned(), "eu-west-2b".to_owned()]);
    let found = check(&stack, None);
    assert_eq!(
        found.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>(),
        ["the zone `eu-west-2b` is not in eu-west-1"]
    );
}

#[test]
fn a_stack_from_the_pipe_is_checked_against_the_schema_too() {
    let mut stack = Stack::default();
    stack.db.port = 80;
    stack.name = "Prod".to_owned();
    let error = check_all(&stack).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Usage);
    assert_eq!(
        error.message(),
        "2 mistakes in the stack\n  db.port: expected a whole number from 1150 to 65535, found the number 80\n  \
         name: the stack name `Prod` holds 'P', only lower-case letters, digits and hyphens are allowed"
    );
}

#[test]
fn a_guess_is_a_slip_or_a_part() {
    let keys = ["desired", "log_retention_days", "cpu", "tag", "environment", "min", "max", "port"];
    for (word, meant) in [
        ("desird", Some("desired")),
        ("prot", Some("port")),
        ("retention_days", Some("log_retention_days")),
        ("desired_count", Some("desired")),
        ("env", Some("environment")),
        ("maxx", Some("max")),
        ("CPU", Some("cpu")),
        ("zone", None),
        ("xyz", None),
    ] {
        assert_eq!(did_you_mean(word, keys), meant, "{word}");
    }
}

#[test]
fn lists_read_like_english() {
    assert_eq!(one_of(["a"]), "`a`");
    assert_eq!(one_of([1, 2]), "`1` or `2`");
    assert_eq!(list(["a", "b", "c"], "and"), "`a`, `b` and `c`");
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
