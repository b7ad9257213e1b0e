//! The request shapes that the services publish; `model/README.md` says where they come from and how they are written.

use std::collections::HashMap;
use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::Number;

/// The services, by signing name.
const SERVICES: &[(&str, &str, &OnceLock<Model>)] = &[
    ("acm", include_str!("../../model/acm.json"), &ACM),
    ("application-autoscaling", include_str!("../../model/application-autoscaling.json"), &APPLICATION_AUTOSCALING),
    ("dynamodb", include_str!("../../model/dynamodb.json"), &DYNAMODB),
    ("ec2", include_str!("../../model/ec2.json"), &EC2),
    ("ecr", include_str!("../../model/ecr.json"), &ECR),
    ("ecs", include_str!("../../model/ecs.json"), &ECS),
    ("elasticloadbalancing", include_str!("../../model/elasticloadbalancing.json"), &ELASTICLOADBALANCING),
    ("iam", include_str!("../../model/iam.json"), &IAM),
    ("logs", include_str!("../../model/logs.json"), &LOGS),
    ("monitoring", include_str!("../../model/monitoring.json"), &MONITORING),
    ("rds", include_str!("../../model/rds.json"), &RDS),
    ("secretsmanager", include_str!("../../model/secretsmanager.json"), &SECRETSMANAGER),
    ("ssm", include_str!("../../model/ssm.json"), &SSM),
    ("sts", include_str!("../../model/sts.json"), &STS),
];

static ACM: OnceLock<Model> = OnceLock::new();
static APPLICATION_AUTOSCALING: OnceLock<Model> = OnceLock::new();
static DYNAMODB: OnceLock<Model> = OnceLock::new();
static EC2: OnceLock<Model> = OnceLock::new();
static ECR: OnceLock<Model> = OnceLock::new();
static ECS: OnceLock<Model> = OnceLock::new();
static ELASTICLOADBALANCING: OnceLock<Model> = OnceLock::new();
static IAM: OnceLock<Model> = OnceLock::new();
static LOGS: OnceLock<Model> = OnceLock::new();
static MONITORING: OnceLock<Model> = OnceLock::new();
static RDS: OnceLock<Model> = OnceLock::new();
static SECRETSMANAGER: OnceLock<Model> = OnceLock::new();
static SSM: OnceLock<Model> = OnceLock::new();
static STS: OnceLock<Model> = OnceLock::new();

/// What a service says of its requests.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Model {
    operations: HashMap<String, String>,
    shapes: HashMap<String, Shape>,
}

/// What a value may be.
#[derive(Debug, Deserialize)]
pub(super) struct Shape {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// Of a string or a list the length, of a number the value.
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
    #[serde(rename = "enum", default)]
    pub(super) values: Vec<String>,
    pub(super) pattern: Option<String>,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
    /// Never to be shown.
    #[serde(default)]
    pub(super) sensitive: bool,
    /// Any JSON.
    #[serde(default)]
    pub(super) document: bool,
    #[serde(default)]
    pub(super) members: Vec<Member>,
    #[serde(default)]
    pub(super) required: Vec<String>,
    pub(super) element: Option<String>,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
}

/// A member of a structure.
#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) shape: String,
    #[serde(default)]
    wire: Option<String>,
}

impl Member {
    /// Its name in a form.
    pub(super) fn wire(&self) -> &str {
        self.wire.as_deref().unwrap_or(&self.name)
    }
}

/// The types of the service models.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    String,
    Blob,
    Timestamp,
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    List,
    Map,
    Structure,
}

impl Kind {
    /// Whether it holds no other values.
    pub(super) fn is_scalar(self) -> bool {
        match self {
            Kind::String
            | Kind::Blob
            | Kind::Timestamp
            | Kind::Boolean
            | Kind::Integer
            | Kind::Long
            | Kind::Float
            | Kind::Double => true,
            Kind::List | Kind::Map | Kind::Structure => false,
        }
    }
}

impl Model {
    /// A service's model, if it has one here.
    pub(super) fn of(service: &str) -> Option<&'static Model> {
        let (_, text, model) = SERVICES.iter().find(|(name, _, _)| *name == service)?;
        // A test parses every file: the fallback, which refuses nothing, is never taken.
        Some(model.get_or_init(|| serde_json::from_str(text).unwrap_or_default()))
    }

    /// The shape of an operation's input.
    pub(super) fn input(&self, operation: &str) -> Option<&Shape> {
        self.shape(self.operations.get(operation)?)
    }

    /// A shape by its name; a test sees to it that each name has one.
    pub(super) fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

impl Shape {
    /// Whether a text has the shape's pattern, as a whole: the services match as Java's `String.matches` does.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let compiled = self.compiled.get_or_init(|| compile(pattern).ok());
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// Compiles a pattern of Java's: its `\w`, `\d` and `\s` are ASCII only.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    let mut ours = String::from(r"\A(?:");
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            ours.push(character);
            continue;
        }
        match characters.next() {
            Some('w') => ours.push_str("[0-9A-Za-z_]"),
            Some('d') => ours.push_str("[0-9]"),
            Some('s') => ours.push_str(r"[ \t\n\x0B\f\r]"),
            Some('S') => ours.push_str(r"[^ \t\n\x0B\f\r]"),
            Some(other) => ours.extend(['\\', other]),
            None => ours.push('\\'),
        }
    }
    ours.push_str(r")\z");
    Regex::new(&ours)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_file_parses_and_is_whole() {
        for (service, text, _) in SERVICES {
            let model: Model = serde_json::from_str(text).unwrap_or_else(|error| panic!("{service}: {error}"));
            assert!(!model.operations.is_empty(), "{service}");
            let known = |name: &String| assert!(model.shapes.contains_key(name), "{service} has no {name}");
            model.operations.values().for_each(known);
            for (name, shape) in &model.shapes {
                shape.members.iter().map(|member| &member.shape).for_each(known);
                shape.element.iter().chain(&shape.key).chain(&shape.value).for_each(known);
                for required in &shape.required {
                    assert!(shape.members.iter().any(|member| member.name == *required), "{service} {name}.{required}");
                }
                if let Some(pattern) = &shape.pattern {
                    assert!(compile(pattern).is_ok(), "{service} {name}: {pattern}");
                }
            }
        }
    }

    #[test]
    fn every_file_is_of_the_botocore_that_the_tests_install() {
        // boto3 and botocore are released together, under one version.
        let requirements = include_str!("../../../../tests/requirements.txt");
        let version = requirements.lines().find_map(|line| line.strip_prefix("boto3==")).expect("boto3's version");
        for (service, text, _) in SERVICES {
            let file: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(file["botocore"], version, "{service}: run crates/ecs-local/model/extract.py");
            assert!(file["notice"].as_str().is_some_and(|notice| notice.contains("Apache License 2.0")), "{service}");
        }
        assert!(include_str!("../../model/README.md").contains(&format!("botocore) {version},")));
    }

    #[test]
    fn a_pattern_is_of_the_whole_text_and_of_ascii() {
        let word = compile(r"[\w+=,.@-]+").expect("a pattern");
        assert!(word.is_match("a-b_c@d"));
        assert!(!word.is_match("a b") && !word.is_match("ä") && !word.is_match("a\n"));
        assert!(compile(r"[\w-_]*").expect("a pattern").is_match("a-_"));
        assert!(compile("a|b").expect("a pattern").is_match("b"));
        assert!(!compile("a|b").expect("a pattern").is_match("ab"));
    }
}
