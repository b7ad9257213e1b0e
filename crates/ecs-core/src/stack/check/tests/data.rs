//! What is wrong with databases and tables.

use serde_json::json;

use super::*;

#[test]
fn every_mistake_in_databases_and_tables_says_where_what_and_what_to_do() {
    assert_mistakes(&[
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
        (
            json!({"db": {"identifier": "A"}}),
            &["db.identifier: the database identifier `A` must start with a lower-case letter"],
        ),
        (
            json!({"db": {"password_rotation_days": 30}}),
            &[
                "db.password_rotation_days: nobody rotates a password that is kept in the Parameter Store (`password = \"secrets_manager\"` has RDS keep and rotate it; `ecs-db --rotate-password` changes it once)",
            ],
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
            json!({"db": {"enabled": false}, "parameters": {"/ecs/backend/DB_PASSWORD": null}, "services": {"backend": {"secrets": {"DB_PASSWORD": "${db.secret_arn}:password::"}}}}),
            &[
                r#"parameters."/ecs/backend/DB_HOST": the parameter `/ecs/backend/DB_HOST` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_HOST`)"#,
                r#"parameters."/ecs/backend/DB_NAME": the parameter `/ecs/backend/DB_NAME` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_NAME`)"#,
                r#"parameters."/ecs/backend/DB_PORT": the parameter `/ecs/backend/DB_PORT` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_PORT`)"#,
                r#"parameters."/ecs/backend/DB_USER".value: the parameter `/ecs/backend/DB_USER` refers to the database, and `db.enabled` is false (leave it out of `parameters`, and leave out `services.backend.secrets.DB_USER`)"#,
                "services.backend.secrets.DB_PASSWORD: `${db.secret_arn}` needs a database, and `db.enabled` is false",
            ],
        ),
    ]);
}
