//! What a service answers to a request that its model does not allow: the code and the words.

use serde_json::{Number, Value};

use super::check::{Constraint, Findings, Mistyped, Violation};
use super::shapes::Kind;

/// An error code and a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// How a service words it.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// "1 validation error detected: Value 'x' at 'y' failed to satisfy constraint: Member must …", under this code.
    Counted(&'static str),
    Ecr,
    Ecs,
    Ec2,
    Rds,
}

/// The refusal of a call, if there is something wrong. What is not of its type is found first: it cannot be read.
///
/// `form`: the call came as a form, not as JSON or CBOR.
pub(super) fn refuse(service: &str, operation: &str, findings: &Findings, form: bool) -> Option<Refusal> {
    let manner = manner(service);
    if let Some(first) = findings.mistyped.first() {
        return Some(mistyped(service, manner, first, form));
    }
    let first = findings.violations.first()?;
    let (code, message) = match manner {
        Manner::Counted(code) => {
            (code, iam(service, &findings.violations).unwrap_or_else(|| counted(&findings.violations)))
        }
        Manner::Ecr => ("InvalidParameterException", ecr(first)),
        Manner::Ecs => ecs(operation, first, &findings.violations),
        Manner::Ec2 => ec2(first),
        Manner::Rds => rds(first),
    };
    Some(Refusal { code, message })
}

/// The refusal of a body that is not in the protocol's format at all.
pub(super) fn unreadable() -> Refusal {
    Refusal { code: "SerializationException", message: String::new() }
}

fn manner(service: &str) -> Manner {
    match service {
        "ec2" => Manner::Ec2,
        "ecr" => Manner::Ecr,
        "ecs" => Manner::Ecs,
        "rds" => Manner::Rds,
        // CloudWatch Logs API reference, CreateLogGroup: its errors have no ValidationException.
        "logs" => Manner::Counted("InvalidParameterException"),
        // IAM, STS, ELBv2 and CloudWatch API references, "Common errors".
        "iam" | "sts" | "elasticloadbalancing" | "monitoring" => Manner::Counted("ValidationError"),
        _ => Manner::Counted("ValidationException"),
    }
}

/// The common sentence (terraform-provider-aws#5246 for an enum, SWO-GS/auto-tag#90 for a list's member).
fn counted(violations: &[Violation]) -> String {
    let each: Vec<String> = violations.iter().map(failed).collect();
    let plural = if each.len() == 1 { "" } else { "s" };
    format!("{} validation error{plural} detected: {}", each.len(), each.join("; "))
}

fn failed(violation: &Violation) -> String {
    let value = violation.shown.as_ref().map_or("null".to_owned(), |shown| format!("'{shown}'"));
    let place = &violation.place.path;
    format!("Value {value} at '{place}' failed to satisfy constraint: {}", demand(&violation.constraint))
}

/// What a constraint demands (SWO-GS/auto-tag#77 for a map's values).
fn demand(constraint: &Constraint) -> String {
    let every = |what: &str, of: &[Constraint]| {
        let of: Vec<String> = of.iter().map(demand).collect();
        format!("{what} must satisfy constraint: [{}]", of.join(", "))
    };
    match constraint {
        Constraint::Elements(of) => every("Member", of),
        Constraint::Keys(of) => every("Map keys", of),
        Constraint::Values(of) => every("Map value", of),
        Constraint::NotNull => "Member must not be null".to_owned(),
        Constraint::ShorterThan(_)
        | Constraint::LongerThan(_)
        | Constraint::LessThan(_)
        | Constraint::MoreThan(_)
        | Constraint::Pattern(_)
        | Constraint::OneOf(_) => format!("Member must {}", must(constraint)),
    }
}

/// What a value must, without its subject.
fn must(constraint: &Constraint) -> String {
    let bound = |what: &str, than: &str, number: &Number| format!("have {what} {than} than or equal to {number}");
    match constraint {
        Constraint::NotNull => "not be null".to_owned(),
        Constraint::ShorterThan(max) => bound("length", "less", max),
        Constraint::LongerThan(min) => bound("length", "greater", min),
        Constraint::LessThan(max) => bound("value", "less", max),
        Constraint::MoreThan(min) => bound("value", "greater", min),
        Constraint::Pattern(pattern) => format!("satisfy regular expression pattern: {pattern}"),
        Constraint::OneOf(values) => format!("satisfy enum value set: [{}]", values.join(", ")),
        Constraint::Elements(of) | Constraint::Keys(of) | Constraint::Values(of) => {
            of.iter().map(must).collect::<Vec<_>>().join(" and ")
        }
    }
}

/// IAM's sentences about the characters of names and paths (kubecost/docs#36, serverless/serverless#3802).
fn iam(service: &str, violations: &[Violation]) -> Option<String> {
    let [Violation { place, constraint: Constraint::Pattern(pattern), .. }] = violations else { return None };
    let (path, must) = match (service, pattern.as_str()) {
        ("iam", r"[\w+=,.@-]+") => {
            (&place.path, "It must contain only alphanumeric characters and/or the following: +=,.@_-")
        }
        ("iam", r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)") => {
            (&place.path, "It must begin and end with / and contain only alphanumeric characters and/or / characters.")
        }
        _ => return None,
    };
    Some(format!("The specified value for {path} is invalid. {must}"))
}

/// ECR has words of its own (jenkins-x/jx#1344, aws-dotnet-deploy#549).
fn ecr(violation: &Violation) -> String {
    let must = match &violation.constraint {
        Constraint::Pattern(pattern) => format!("satisfy regular expression '{pattern}'"),
        Constraint::NotNull
        | Constraint::ShorterThan(_)
        | Constraint::LongerThan(_)
        | Constraint::LessThan(_)
        | Constraint::MoreThan(_)
        | Constraint::OneOf(_)
        | Constraint::Elements(_)
        | Constraint::Keys(_)
        | Constraint::Values(_) => must(&violation.constraint),
    };
    format!("Invalid parameter at '{}' failed to satisfy constraint: 'must {must}'", violation.place.path)
}

/// ECS: a member that is missing is "blank" (amazon-ecs-cli#359, "Container Name can not be blank."). How it words
/// another violation of its model is not documented: the common sentence.
fn ecs(operation: &str, first: &Violation, all: &[Violation]) -> (&'static str, String) {
    // What is wrong in a task definition is a ClientException (ECS API reference, RegisterTaskDefinition).
    let code = if operation == "RegisterTaskDefinition" { "ClientException" } else { "InvalidParameterException" };
    if first.constraint == Constraint::NotNull {
        return (code, format!("{} can not be blank.", spaced(&first.place.member)));
    }
    (code, counted(all))
}

/// "Container Name" of "containerName".
fn spaced(member: &str) -> String {
    let mut words = String::new();
    for (at, letter) in member.chars().enumerate() {
        if at > 0 && letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(if at == 0 { letter.to_ascii_uppercase() } else { letter });
    }
    words
}

/// EC2 names what is missing, or says why a value is not allowed (EC2 API reference, "Error codes").
fn ec2(violation: &Violation) -> (&'static str, String) {
    let parameter = &violation.place.wire;
    match &violation.shown {
        None => ("MissingParameter", format!("The request must contain the parameter {parameter}")),
        Some(value) => {
            let must = must(&violation.constraint);
            ("InvalidParameterValue", format!("Value ({value}) for parameter {parameter} is invalid. It must {must}."))
        }
    }
}

/// RDS names what is missing, or what is allowed (RDS API reference, "Common errors").
fn rds(violation: &Violation) -> (&'static str, String) {
    let member = &violation.place.member;
    match &violation.shown {
        None => ("MissingParameter", format!("The request must contain the parameter {member}.")),
        Some(value) => {
            let must = must(&violation.constraint);
            ("InvalidParameterValue", format!("Invalid value {value} for {member}. Must {must}"))
        }
    }
}

/// The refusal of a value that is not of its type.
fn mistyped(service: &str, manner: Manner, found: &Mistyped, form: bool) -> Refusal {
    let (code, message) = match manner {
        Manner::Ec2 => {
            let (value, parameter) = (&found.shown, &found.place.wire);
            let message = format!("Value ({value}) for parameter {parameter} is invalid. Expecting {}.", a(found.kind));
            ("InvalidParameterValue", message)
        }
        Manner::Rds => {
            let (value, member) = (&found.shown, &found.place.member);
            ("InvalidParameterValue", format!("Invalid value {value} for {member}. Must be {}", a(found.kind)))
        }
        // Code and words of a time: rusoto#654, and paws-r/paws#274 for seconds since the epoch. Other words are not known.
        Manner::Counted(_) | Manner::Ecr | Manner::Ecs if form => {
            let message = match found.kind {
                Kind::Timestamp => "timestamp must follow ISO8601".to_owned(),
                Kind::String
                | Kind::Blob
                | Kind::Boolean
                | Kind::Integer
                | Kind::Long
                | Kind::Float
                | Kind::Double
                | Kind::List
                | Kind::Map
                | Kind::Structure => format!("Invalid value at '{}': expecting {}", found.place.path, a(found.kind)),
            };
            ("MalformedInput", message)
        }
        Manner::Counted(_) | Manner::Ecr | Manner::Ecs => ("SerializationException", unconvertible(service, found)),
    };
    Refusal { code, message }
}

/// What a JSON service says when it cannot convert a value (aws-cdk#27087; localstack#9412 for DynamoDB's "cannot").
fn unconvertible(service: &str, found: &Mistyped) -> String {
    let token = match &found.value {
        Value::Array(_) => return "Start of list found where not expected".to_owned(),
        Value::Object(_) => return "Start of structure or map found where not expected.".to_owned(),
        Value::String(_) => "STRING_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Null => "NULL_VALUE",
    };
    match found.kind {
        Kind::List | Kind::Map | Kind::Structure => "Unexpected field type".to_owned(),
        Kind::String
        | Kind::Blob
        | Kind::Timestamp
        | Kind::Boolean
        | Kind::Integer
        | Kind::Long
        | Kind::Float
        | Kind::Double => match service {
            "dynamodb" => format!("{token} cannot be converted to {:?}", found.kind),
            _ => format!("{token} can not be converted to {}", a(found.kind)),
        },
    }
}

/// A type with its article, as the services write it.
fn a(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a String",
        Kind::Blob => "a Blob",
        Kind::Timestamp => "a Timestamp",
        Kind::Boolean => "a Boolean",
        Kind::Integer => "an Integer",
        Kind::Long => "a Long",
        Kind::Float => "a Float",
        Kind::Double => "a Double",
        Kind::List => "a List",
        Kind::Map => "a Map",
        Kind::Structure => "a Structure",
    }
}
