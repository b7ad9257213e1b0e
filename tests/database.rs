//! The database on a living stack: its own subnets and logs, another password, and one that somebody else made.

use ecs_local::Weather;
use ecs_pipe_tests::{Cloud, item, overlay};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const TOOLS: [&str; 3] = ["ecs-net", "ecs-sg", "ecs-db"];
const BACKWARDS: [&str; 3] = ["ecs-db", "ecs-sg", "ecs-net"];
const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";
const PASSWORD: &str = "/ecs/backend/DB_PASSWORD";

/// Returns the arguments for the stack with an overlay.
fn with(overlay: &NamedTempFile) -> String {
    format!("{TUTORIAL} --stack {}", overlay.path().display())
}

async fn assert_settled(cloud: &Cloud, arguments: &str) {
    cloud.assert_settled(&TOOLS, arguments, arguments).await;
}

#[tokio::test]
async fn a_database_has_subnets_of_its_own_sends_logs_and_gets_another_password() {
    let cloud = Cloud::start().await;
    let file = overlay("[net]\ndatabase_subnets = true\n[db]\nlog_exports = [\"postgresql\"]\n");
    cloud.pipe(&TOOLS, "", &with(&file)).await.ok();
    assert_settled(&cloud, &with(&file)).await;
    let is = cloud.inventory().await;
    let zones = ["a", "b"].map(|zone| format!("ecs-production-database-us-east-1{zone}"));
    assert_eq!(is["db_subnet_groups"][0]["subnets"], json!(zones));
    assert_eq!(is["db_instances"][0]["EnabledCloudwatchLogsExports"], json!(["postgresql"]));
    let more = overlay("[net]\ndatabase_subnets = true\n[db]\nlog_exports = [\"postgresql\", \"upgrade\"]\n");
    cloud.pipe(&TOOLS, "", &with(&more)).await.ok();
    assert_settled(&cloud, &with(&more)).await;
    // Parameters of the file's come in a group of their own, and go with --prune.
    let parameters = |text: &str| {
        overlay(&format!("[net]\ndatabase_subnets = true\n[db]\nlog_exports = [\"postgresql\", \"upgrade\"]\n{text}"))
    };
    let some = parameters("force_tls = true\nparameters = { max_connections = \"100\", work_mem = \"4096\" }\n");
    let said = cloud.pipe(&TOOLS, "", &with(&some)).await.ok().stderr;
    assert!(said.contains("max_connections takes effect when it is rebooted"), "{said}");
    assert_settled(&cloud, &with(&some)).await;
    let is = cloud.inventory().await;
    let group = &is["db_parameter_groups"][0];
    assert_eq!(group["DBParameterGroupFamily"], "postgres18");
    assert_eq!(group["Set"], json!({"max_connections": "100", "rds.force_ssl": "1", "work_mem": "4096"}));
    assert_eq!(is["db_instances"][0]["parameter_groups"], json!(["ecs-postgres-db-postgres18"]));
    let wrong = parameters("parameters = { max_connection = \"100\" }\n");
    let refused = cloud.pipe(&TOOLS, "", &with(&wrong)).await;
    assert!(refused.stderr.contains("postgres18 has no such parameter"), "{}", refused.stderr);
    let fewer = parameters("force_tls = true\n");
    let said = cloud.pipe(&TOOLS, "", &with(&fewer)).await.ok().stderr;
    assert!(said.contains("parameter work_mem is no longer needed: left alone"), "{said}");
    let prune =
        |file: &NamedTempFile| format!("export ECS_PRUNE=true; ecs-net {} < /dev/null | ecs-sg | ecs-db", with(file));
    cloud.shell(&prune(&fewer)).await.ok();
    assert_settled(&cloud, &with(&fewer)).await;
    assert_eq!(cloud.inventory().await["db_parameter_groups"][0]["Set"], json!({"rds.force_ssl": "1"}));
    let said = cloud.pipe(&TOOLS, "", &with(&more)).await.ok().stderr;
    assert!(said.contains("DB parameter group ecs-postgres-db-postgres18 is no longer needed: left alone"), "{said}");
    cloud.shell(&prune(&more)).await.ok();
    assert_eq!(cloud.inventory().await["db_instances"][0]["parameter_groups"], json!([]));

    // One log fewer is a log that nobody asks for: it stays until it is pruned.
    let said = cloud.pipe(&TOOLS, "", &with(&file)).await.ok().stderr;
    assert!(said.contains("somebody else has added log export upgrade: left alone"), "{said}");

    let read = format!(
        "print(boto3.client('ssm').get_parameter(Name='{PASSWORD}', WithDecryption=True)['Parameter']['Value'])"
    );
    let first = cloud.by_hand(&read).await;
    let net = cloud.pipe(&TOOLS, "", &with(&more)).await.ok().stdout;
    // RDS refuses in the middle: the next run, whoever starts it, goes on with the same password.
    let storm = "[[fault]]\ncall = \"rds:ModifyDBInstance\"\ntimes = 1\ndo = \"expire\"\n";
    cloud.aws().set_weather(Weather::parse(storm).expect("a scenario"));
    let failed = cloud.run("ecs-db", &["--rotate-password"], &net).await;
    assert_ne!(failed.code, 0, "{}", failed.stderr);
    cloud.aws().set_weather(Weather::default());
    let parameters = cloud.inventory().await["parameters"].clone();
    assert_ne!(item(&parameters, "Name", &format!("{PASSWORD}.next")), &Value::Null);
    assert_eq!(item(&parameters, "Name", PASSWORD)["Version"], 1);
    // A plan says so, and does not take the password beside for something of before.
    let plan = cloud.run("ecs-db", &["plan", "--exit-code"], &net).await;
    assert!(plan.code == 3 && plan.stderr.contains("a rotation that was begun is to be finished"), "{}", plan.stderr);
    assert!(!plan.stderr.contains("is no longer needed"), "{}", plan.stderr);
    let healed = cloud.run("ecs-db", &[], &net).await.ok();
    assert!(healed.stderr.contains("master password; tasks that run keep the old one"), "{}", healed.stderr);
    let parameters = cloud.inventory().await["parameters"].clone();
    assert_eq!(item(&parameters, "Name", &format!("{PASSWORD}.next")), &Value::Null);
    assert_eq!(item(&parameters, "Name", PASSWORD)["Version"], 2);
    let second = cloud.by_hand(&read).await;
    assert!(first != second && second.len() >= 16);
    for said in [&failed, &healed] {
        assert!(!said.stderr.contains(&second) && !said.stdout.contains(&second));
    }
    let plan = cloud.run("ecs-db", &["plan", "--exit-code", "--rotate-password"], &net).await;
    assert!(
        plan.code == 3 && plan.stderr.contains("~ change DB instance ecs-postgres-db: master password"),
        "{}",
        plan.stderr
    );
    cloud.run("ecs-db", &["--rotate-password"], &net).await.ok();
    assert_eq!(item(&cloud.inventory().await["parameters"], "Name", PASSWORD)["Version"], 3);
    assert_settled(&cloud, &with(&more)).await;

    // RDS keeps the password, and changes it as often as the file says; without a word of it nobody looks.
    let managed = |days: &str| {
        overlay(&format!(
            "[net]\ndatabase_subnets = true\n[db]\nlog_exports = [\"postgresql\", \"upgrade\"]\n\
             password = \"secrets_manager\"\n{days}[parameters]\n\"{PASSWORD}\" = {{ remove = true }}\n\
             [services.backend.secrets]\nDB_PASSWORD = \"${{db.secret_arn}}:password::\"\n"
        ))
    };
    let monthly = managed("password_rotation_days = 30\n");
    let made = cloud.pipe(&TOOLS, "", &with(&monthly)).await.ok().stdout;
    assert_eq!(cloud.inventory().await["secrets"][0]["RotationRules"], json!({"AutomaticallyAfterDays": 30}));
    let by_hand = "secrets = boto3.client('secretsmanager')\n\
        id = secrets.list_secrets()['SecretList'][0]['ARN']\n\
        secrets.rotate_secret(SecretId=id, RotateImmediately=False, RotationRules={'ScheduleExpression': 'rate(4 hours)'})";
    cloud.by_hand(by_hand).await;
    cloud.take_calls();
    cloud.pipe(&TOOLS, "", &with(&managed(""))).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0]);
    let plan = cloud.run("ecs-db", &["plan", "--exit-code"], &made).await;
    let change = "password rotation of DB instance ecs-postgres-db: every: rate(4 hours) -> 30 days";
    assert!(plan.code == 3 && plan.stderr.contains(change), "{}", plan.stderr);
    for writes in [vec!["secretsmanager:RotateSecret"], Vec::new()] {
        cloud.run("ecs-db", &[], &made).await.ok();
        assert_eq!(cloud.take_writes(), writes);
    }
    cloud.pipe(&BACKWARDS, "destroy", &with(&monthly)).await.ok();
    let left = cloud.reader("tagged").await;
    assert_eq!(left.code, 0, "left behind: {}", left.stdout);
}

#[tokio::test]
async fn a_database_of_somebody_elses_is_told_of_and_left_alone() {
    let cloud = Cloud::start().await;
    let text = "[db]\nexisting = true\nidentifier = \"theirs\"\n\
                [parameters]\n\"/ecs/backend/DB_PASSWORD\" = { remove = true }\n\
                [services.backend.secrets]\n\
                DB_PASSWORD = \"arn:aws:ssm:us-east-1:123456789012:parameter/theirs/password\"\n";
    let file = overlay(text);
    let absent = cloud.pipe(&TOOLS, "", &with(&file)).await;
    assert!(absent.stderr.contains("there is no DB instance theirs"), "{}", absent.stderr);
    let theirs = "ec2, rds = boto3.client('ec2'), boto3.client('rds')\n\
        subnets = ec2.describe_subnets(Filters=[{'Name': 'tag:Name', 'Values': ['ecs-production-private-*']}])['Subnets']\n\
        ids = [subnet['SubnetId'] for subnet in subnets]\n\
        rds.create_db_subnet_group(DBSubnetGroupName='theirs', DBSubnetGroupDescription='theirs', SubnetIds=ids)\n\
        rds.create_db_instance(DBInstanceIdentifier='theirs', DBInstanceClass='db.t3.micro', Engine='postgres',\n\
        AllocatedStorage=20, MasterUsername='root', MasterUserPassword='password1', DBSubnetGroupName='theirs', Port=5432)";
    cloud.by_hand(theirs).await;
    let made = cloud.pipe(&TOOLS, "", &with(&file)).await.ok().json();
    assert!(made["db"]["host"].as_str().is_some_and(|host| host.starts_with("theirs.")), "{made:#}");
    assert_settled(&cloud, &with(&file)).await;
    let before = cloud.inventory().await;
    assert_eq!(item(&before["parameters"], "Name", "/ecs/backend/DB_HOST")["value"], "<theirs>");
    assert_eq!(item(&before["parameters"], "Name", PASSWORD), &Value::Null);
    let refused = overlay("[db]\nexisting = true\nidentifier = \"theirs\"\n");
    let refused = cloud.shell(&format!("ecs-db plan --no-input {}", with(&refused))).await;
    assert!(refused.code == 2 && refused.stderr.contains("cannot hold the password"), "{}", refused.stderr);
    cloud.take_calls();
    cloud.shell(&format!("ecs-db destroy --no-input {}", with(&file))).await.ok();
    let after = cloud.inventory().await;
    assert_eq!(
        (&after["db_instances"], &after["db_subnet_groups"]),
        (&before["db_instances"], &before["db_subnet_groups"])
    );
    assert_eq!(item(&after["parameters"], "Name", "/ecs/backend/DB_HOST"), &Value::Null);
}
