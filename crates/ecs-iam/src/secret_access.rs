//! What ECS must be able to read to start the services' tasks: their secrets, and nothing else but what the stack file says.

use std::collections::{BTreeMap, BTreeSet};

use ecs_core::Stack;
use ecs_core::id::RoleArn;
use ecs_core::stack::{Statement, TableNames};
use serde_json::{Value, json};

use crate::task_access;

/// Number of the colon-separated parts of a secret's ARN; a JSON key, a version stage and a version id may follow.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html>
const SECRET_ARN_PARTS: usize = 7;

/// The secrets that the services' containers are given.
///
/// ECS needs `ssm:GetParameters` or `secretsmanager:GetSecretValue` on each of them, and `kms:Decrypt` where a customer
/// managed key encrypts it: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html>
#[derive(Debug, Clone)]
pub struct SecretAccess {
    region: String,
    /// Names of parameters in the stack's region, each with whether it may be encrypted
    parameters: BTreeMap<String, bool>,
    /// ARNs of parameters and secrets that are not the stack's
    foreign: BTreeSet<String>,
    /// Whether the secret that RDS keeps is one of them
    database: bool,
    /// What the stack file allows beside
    statements: Vec<Statement>,
    tables: TableNames,
}

/// What a document grants, collected.
#[derive(Debug, Default)]
struct Collected {
    parameters: BTreeSet<String>,
    secrets: BTreeSet<String>,
    /// Keys, by the service that they may be used through
    keys: BTreeMap<String, BTreeSet<String>>,
}

impl SecretAccess {
    /// Collects the secrets that the stack's services name.
    pub fn new(stack: &Stack) -> Self {
        let mut access = Self {
            region: stack.region.clone().unwrap_or_default(),
            parameters: BTreeMap::new(),
            foreign: BTreeSet::new(),
            database: false,
            statements: stack.iam.execution_statements.clone(),
            tables: stack.table_names(),
        };
        for source in stack.services.values().flat_map(|service| service.secret_sources()) {
            if source.starts_with("${") {
                access.database = true;
            } else if source.starts_with("arn:") {
                access.foreign.insert(source.clone());
            } else {
                let secure = stack.parameters.get(source).is_none_or(|parameter| parameter.secure());
                access.parameters.insert(source.clone(), secure);
            }
        }
        access
    }

    /// Returns the policy for a role, none when there is nothing to read.
    ///
    /// The role's own ARN tells the account and the partition that the stack's parameters are in.
    pub fn document(&self, role: &RoleArn) -> Option<Value> {
        let mut parts = role.as_str().split(':');
        let (partition, account) = (parts.nth(1).unwrap_or_default(), parts.nth(2).unwrap_or_default());
        let region = &self.region;
        let mut collected = Collected::default();
        for (name, secure) in &self.parameters {
            // A name's leading slash is the ARN's only one: `parameter/ecs/backend/DB_HOST`.
            let name = name.trim_start_matches('/');
            collected.parameters.insert(format!("arn:{partition}:ssm:{region}:{account}:parameter/{name}"));
            if *secure {
                collected.allow_keys("ssm", partition, region, account);
            }
        }
        if self.database {
            // RDS names its secrets so, with an id of its own choice:
            // <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html>
            collected.secrets.insert(format!("arn:{partition}:secretsmanager:{region}:{account}:secret:rds!db-*"));
            collected.allow_keys("secretsmanager", partition, region, account);
        }
        for arn in &self.foreign {
            collected.allow_foreign(arn);
        }
        let others = self.statements.iter().map(|one| task_access::statement(one, &self.tables, role));
        collected.document(others)
    }
}

impl Collected {
    /// Allows to read what an ARN names, wherever it is.
    fn allow_foreign(&mut self, arn: &str) {
        let parts: Vec<&str> = arn.split(':').collect();
        let [_, partition, service, region, account, ..] = parts.as_slice() else { return };
        match *service {
            "ssm" => self.parameters.insert(arn.to_owned()),
            "secretsmanager" => self.secrets.insert(parts.get(..SECRET_ARN_PARTS).unwrap_or(&parts).join(":")),
            // ECS takes no others.
            _ => return,
        };
        self.allow_keys(service, partition, region, account);
    }

    /// Allows an account's keys, but only through one service: which key it is, only that service knows.
    fn allow_keys(&mut self, service: &str, partition: &str, region: &str, account: &str) {
        let keys = self.keys.entry(format!("{service}.{region}.amazonaws.com")).or_default();
        keys.insert(format!("arn:{partition}:kms:{region}:{account}:key/*"));
    }

    fn document(self, others: impl Iterator<Item = Value>) -> Option<Value> {
        let reads = [("ssm:GetParameters", self.parameters), ("secretsmanager:GetSecretValue", self.secrets)];
        let reads = reads.into_iter().filter(|(_, resources)| !resources.is_empty());
        let reads =
            reads.map(|(action, resources)| json!({"Effect": "Allow", "Action": action, "Resource": resources}));
        let keys = self.keys.into_iter().map(|(service, keys)| {
            json!({
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": keys,
                "Condition": {"StringEquals": {"kms:ViaService": service}}
            })
        });
        let statements: Vec<Value> = reads.chain(keys).chain(others).collect();
        (!statements.is_empty()).then(|| json!({"Version": "2012-10-17", "Statement": statements}))
    }
}

#[cfg(test)]
mod tests {
    use ecs_core::stack::Service;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole";

    fn stack(secrets: &[&str]) -> Stack {
        let secrets = secrets.iter().enumerate().map(|(index, source)| (format!("S{index}"), (*source).to_owned()));
        let service = Service { secrets: secrets.collect(), ..Service::default() };
        Stack {
            region: Some("us-east-1".to_owned()),
            services: BTreeMap::from([("one".to_owned(), service)]),
            ..Stack::default()
        }
    }

    fn document(secrets: &[&str], role: &str) -> Option<Value> {
        SecretAccess::new(&stack(secrets)).document(&role.into())
    }

    #[test]
    fn the_tutorial_stack_reads_its_own_parameters_and_decrypts_through_ssm() {
        let stack = Stack { region: Some("us-east-1".to_owned()), ..Stack::default() };
        let parameter = |name: &str| format!("arn:aws:ssm:us-east-1:123456789012:parameter/ecs/{name}");
        let wanted = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "ssm:GetParameters",
                    "Resource": [
                        parameter("backend/DB_HOST"), parameter("backend/DB_NAME"), parameter("backend/DB_PASSWORD"),
                        parameter("backend/DB_PORT"), parameter("backend/DB_USER"), parameter("backend/FRONTEND_URL"),
                        parameter("frontend/API_URL")
                    ]
                },
                {
                    "Effect": "Allow",
                    "Action": "kms:Decrypt",
                    "Resource": ["arn:aws:kms:us-east-1:123456789012:key/*"],
                    "Condition": {"StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}}
                }
            ]
        });
        assert_eq!(SecretAccess::new(&stack).document(&ROLE.into()), Some(wanted));
    }

    #[test]
    fn each_kind_of_secret_grants_what_it_needs() {
        let secret = "arn:aws:secretsmanager:eu-west-1:210987654321:secret:token-AbCdEf";
        // What a service names; what is granted on what; the services that keys may be used through.
        type Row<'r> = (&'r str, &'r str, &'r str, &'r [&'r str]);
        let cases: [Row; 6] = [
            (
                "/ecs/backend/DB_HOST",
                "ssm:GetParameters",
                "arn:aws:ssm:us-east-1:123456789012:parameter/ecs/backend/DB_HOST",
                &[],
            ),
            (
                "other",
                "ssm:GetParameters",
                "arn:aws:ssm:us-east-1:123456789012:parameter/other",
                &["ssm.us-east-1.amazonaws.com"],
            ),
            (
                "arn:aws:ssm:eu-west-1:210987654321:parameter/shared",
                "ssm:GetParameters",
                "arn:aws:ssm:eu-west-1:210987654321:parameter/shared",
                &["ssm.eu-west-1.amazonaws.com"],
            ),
            (secret, "secretsmanager:GetSecretValue", secret, &["secretsmanager.eu-west-1.amazonaws.com"]),
            (
                &format!("{secret}:key::"),
                "secretsmanager:GetSecretValue",
                secret,
                &["secretsmanager.eu-west-1.amazonaws.com"],
            ),
            (
                "${db.secret_arn}:password::",
                "secretsmanager:GetSecretValue",
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-*",
                &["secretsmanager.us-east-1.amazonaws.com"],
            ),
        ];
        for (source, action, resource, through) in cases {
            let document = document(&[source], ROLE).expect("something to read");
            let statements = document["Statement"].as_array().expect("an array");
            assert_eq!(
                (&statements[0]["Action"], &statements[0]["Resource"]),
                (&json!(action), &json!([resource])),
                "{source}"
            );
            let services: Vec<_> = statements[1..]
                .iter()
                .map(|s| s["Condition"]["StringEquals"]["kms:ViaService"].as_str().expect("one"))
                .collect();
            assert_eq!(services, through, "{source}");
        }
    }

    #[test]
    fn what_the_file_says_is_allowed_beside() {
        let statement =
            json!({ "actions": ["kms:Decrypt"], "resources": ["arn:aws:kms:us-east-1:123456789012:key/k"] });
        let mut stack = stack(&[]);
        stack.iam.execution_statements = vec![serde_json::from_value(statement).expect("a statement")];
        let document = SecretAccess::new(&stack).document(&ROLE.into()).expect("something to do");
        let wanted = json!([
            { "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": ["arn:aws:kms:us-east-1:123456789012:key/k"] }
        ]);
        assert_eq!(document["Statement"], wanted);
    }

    #[test]
    fn no_secrets_need_no_policy() {
        assert_eq!(document(&[], ROLE), None);
    }

    #[test]
    fn other_partitions_have_their_own_arns() {
        let document = document(&["/a"], "arn:aws-us-gov:iam::123456789012:role/x").expect("something to read");
        assert_eq!(
            document["Statement"][0]["Resource"],
            json!(["arn:aws-us-gov:ssm:us-east-1:123456789012:parameter/a"])
        );
    }
}
