//! Parameters, and the secrets of the services, which refer to them.

use super::containers::containers;
use super::names::is_region;
use super::{Mistake, did_you_mean, list};
use crate::stack::pointer::pointer;
use crate::stack::template::{BALANCER_NAMES, DATABASE_NAMES, Part, SECRET_ARN, parts, references, table_reference};
use crate::stack::{Parameter, PasswordStore, Stack};

/// Greatest number of levels of a parameter's name. Source: `PutParameter`, `Name`.
const LEVELS: usize = 15;

/// Greatest number of characters of a parameter's ARN. Source: `PutParameter`, `Name`.
const ARN_LENGTH: usize = 1011;

/// Greatest size in bytes of a standard parameter. Source: `PutParameter`, `Value`.
const VALUE_BYTES: usize = 4096;

/// Length of the longest region's name there is, for where the region is not known.
const REGION_LENGTH: usize = "ap-southeast-1".len();

/// The reference to the password that this program makes.
const PASSWORD: &str = "db.password";

/// Checks the parameters and what reads them.
pub(super) fn check(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    // Somebody who switches the database off has hardly written out the parameters that nobody asked for.
    let defaults = !stack.db.enabled && stack.parameters == Stack::default().parameters;
    if defaults {
        found.push(
            Mistake::key("/parameters", "the default parameters refer to the database, and `db.enabled` is false")
                .hint(
                    "give `parameters` of your own, and `services` that read them: a file that has any has only those",
                )
                .related(&["db", "enabled"]),
        );
    }
    for (name, parameter) in stack.parameters.iter().filter(|_| !defaults) {
        self::name(name, region, found);
        value(stack, name, parameter, found);
    }
    let kept = stack.parameters.values().any(|parameter| refers_to(parameter.template(), PASSWORD));
    if stack.db.enabled && !stack.db.existing && stack.db.password == PasswordStore::Parameter && !kept {
        found.push(
            Mistake::value("/db/password", "the database's password would be kept nowhere")
                .hint(
                    "add a parameter: `[parameters] \"/ecs/backend/DB_PASSWORD\" = { value = \"${db.password}\", \
                     secure = true }`; or let RDS keep it: `password = \"secrets_manager\"`",
                )
                .related(&["parameters"])
                .related(&["db", "enabled"]),
        );
    }
    for container in containers(stack) {
        for (variable, source) in container.secrets {
            secret(stack, container.place("secrets", variable), variable, source, found);
        }
        for (variable, value) in container.environment {
            let place = container.place("environment", variable);
            found.extend(table_references(stack, &place, value));
            if let Some(reference) = first_reference(value) {
                found.push(
                    Mistake::value(place, format!("a plain environment variable cannot refer to `${{{reference}}}`"))
                        .hint("put it into a parameter and the parameter's name into the service's `secrets`"),
                );
            }
        }
    }
}

/// Checks a parameter's name. Source: `PutParameter`, `Name`.
fn name(name: &str, region: Option<&str>, found: &mut Vec<Mistake>) {
    let place = pointer(&["parameters", name]);
    let Some(path) = name.strip_prefix('/') else {
        let mistake = Mistake::key(place, format!("the parameter name `{name}` does not start with a slash"));
        found.push(mistake.hint(format!("`/ecs/{name}`, say")));
        return;
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    let lower = path.to_lowercase();
    let levels = path.split('/').count();
    let arn = "arn:aws:ssm::123456789012:parameter".len() + region.map_or(REGION_LENGTH, str::len) + name.len();
    let problem = if let Some(bad) = name.chars().find(|&c| !allowed(c)) {
        Some(format!("holds {bad:?}, only letters, digits and _.-/ are allowed"))
    } else if path.split('/').any(str::is_empty) {
        Some("has an empty level".to_owned())
    } else if lower.starts_with("aws") || lower.starts_with("ssm") {
        Some("starts with `aws` or `ssm`, which AWS keeps for itself".to_owned())
    } else if levels > LEVELS {
        Some(format!("has {levels} levels, at most {LEVELS} are allowed"))
    } else if arn > ARN_LENGTH {
        Some(format!("is too long by {} characters", arn - ARN_LENGTH))
    } else {
        None
    };
    found.extend(problem.map(|problem| Mistake::key(place, format!("the parameter name `{name}` {problem}"))));
}

/// Checks a parameter's value; what it says never quotes the text of it, which may be a secret.
fn value(stack: &Stack, name: &str, parameter: &Parameter, found: &mut Vec<Mistake>) {
    let place = match parameter {
        Parameter::Plain(_) => pointer(&["parameters", name]),
        Parameter::Typed(_) => pointer(&["parameters", name, "value"]),
    };
    let template = parameter.template();
    let parts = parts(template);
    let text: usize = parts.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum();
    if template.is_empty() {
        found.push(Mistake::value(&place, "a parameter cannot be empty"));
    }
    if text > VALUE_BYTES {
        let message = format!("a parameter holds at most {VALUE_BYTES} bytes, this one has {text}");
        found.push(Mistake::value(&place, message));
    }
    let mut references: Vec<&str> = Vec::new();
    for part in &parts {
        match part {
            Part::Text(_) => {}
            Part::Unclosed(_) => found.push(Mistake::value(&place, "a `${` is not closed by `}`")),
            Part::Reference(reference) => {
                if reference_is_known(reference) || is_table(stack, reference) {
                    references.push(reference);
                } else {
                    found.push(unknown_reference(stack, &place, reference));
                }
            }
        }
    }
    let database = references.iter().any(|reference| reference.starts_with("db."));
    let table = references.iter().any(|reference| reference.starts_with("table."));
    if parameter.secure() && !template.is_empty() && !parts.iter().any(|part| !matches!(part, Part::Text(_))) {
        found.push(
            Mistake::value(&place, "a secret must not stand in a stack file")
                .hint(
                    "make the parameter yourself, and give its ARN in the service's `secrets`; if it is none, leave \
                     out `secure`",
                )
                .related(&["parameters", name, "secure"]),
        );
    }
    if (database || table) && references.iter().any(|reference| reference.starts_with("alb.")) {
        let other = if database { "the database" } else { "a table" };
        found.push(
            Mistake::value(&place, format!("a parameter can refer to {other} or to the load balancer, not to both"))
                .hint("make two parameters, and put them together in the container"),
        );
    }
    if database && !stack.db.enabled {
        let message = format!("the parameter `{name}` refers to the database, and `db.enabled` is false");
        found.push(Mistake::value(&place, message).hint(without(stack, name)).related(&["db", "enabled"]));
        return;
    }
    if !references.contains(&PASSWORD) {
        return;
    }
    if stack.db.existing && stack.db.password == PasswordStore::Parameter {
        let message =
            format!("the parameter `{name}` cannot hold the password: RDS tells nobody that of a database that exists");
        found.push(
            Mistake::value(&place, message)
                .hint(
                    "give the ARN of the parameter or secret that holds it in the service's `secrets`; or, if RDS keeps \
                     it, `password = \"secrets_manager\"` and `${db.secret_arn}:password::` there",
                )
                .related(&["db", "existing"]),
        );
        return;
    }
    if stack.db.password == PasswordStore::SecretsManager {
        let message = format!("the parameter `{name}` cannot hold the password: Secrets Manager keeps it");
        found.push(Mistake::value(&place, message).hint(instead(stack, name)).related(&["db", "password"]));
        return;
    }
    if !parameter.secure() {
        found.push(
            Mistake::value(&place, "the database's password would be readable in a parameter that is not secure")
                .hint("write `{ value = \"${db.password}\", secure = true }`")
                .related(&["parameters", name, "secure"]),
        );
    }
    if parts.len() > 1 {
        found.push(
            Mistake::value(&place, "`${db.password}` must stand alone in its parameter")
                .hint("make a parameter of its own for the password, and put them together in the container"),
        );
    }
}

/// Finds the references to tables that there are not, in a text where nothing else is a reference of ours.
pub(super) fn table_references(stack: &Stack, place: &str, text: &str) -> Vec<Mistake> {
    let unknown = |part| match part {
        Part::Reference(reference) if reference.starts_with("table.") && !is_table(stack, reference) => {
            Some(unknown_reference(stack, place, reference))
        }
        Part::Unclosed(rest) if rest.starts_with("table.") => {
            Some(Mistake::value(place, "a `${` is not closed by `}`"))
        }
        Part::Reference(_) | Part::Unclosed(_) | Part::Text(_) => None,
    };
    parts(text).into_iter().filter_map(unknown).collect()
}

fn unknown_reference(stack: &Stack, place: &str, reference: &str) -> Mistake {
    let known: Vec<String> = references(stack.tables.keys()).collect();
    let mistake = Mistake::value(place, format!("unknown reference `${{{reference}}}`")).related(&["tables"]);
    if reference.starts_with("table.") {
        let tables: Vec<String> = references(stack.tables.keys()).filter(|one| one.starts_with("table.")).collect();
        return match did_you_mean(reference, tables.iter().map(String::as_str)) {
            Some(meant) => mistake.hint(format!("did you mean `${{{meant}}}`?")),
            None if tables.is_empty() => mistake.hint("the stack has no `[tables.…]`"),
            None => {
                mistake.hint(format!("there are {}", list(tables.iter().map(|name| format!("${{{name}}}")), "and")))
            }
        };
    }
    if reference == "db.secret_arn" {
        return mistake.hint(format!("write `{SECRET_ARN}` in the service's `secrets`, not in a parameter"));
    }
    match did_you_mean(reference, known.iter().map(String::as_str)) {
        Some(meant) => mistake.hint(format!("did you mean `${{{meant}}}`?")),
        None => mistake.hint(format!("there are {}", list(known.iter().map(|name| format!("${{{name}}}")), "and"))),
    }
}

fn is_table(stack: &Stack, reference: &str) -> bool {
    table_reference(reference).is_some_and(|(key, _)| stack.tables.contains_key(key))
}

fn reference_is_known(reference: &str) -> bool {
    reference.strip_prefix("db.").is_some_and(|name| DATABASE_NAMES.contains(&name))
        || reference.strip_prefix("alb.").is_some_and(|name| BALANCER_NAMES.contains(&name))
}

fn refers_to(template: &str, reference: &str) -> bool {
    parts(template).contains(&Part::Reference(reference))
}

fn first_reference(value: &str) -> Option<&str> {
    parts(value).into_iter().find_map(|part| match part {
        Part::Reference(reference) => {
            (reference_is_known(reference) || reference == "db.secret_arn").then_some(reference)
        }
        Part::Text(_) | Part::Unclosed(_) => None,
    })
}

/// Returns the variables that read a parameter, as keys of the file.
fn readers(stack: &Stack, name: &str) -> Vec<String> {
    let readers = containers(stack).flat_map(|container| {
        let reads = container.secrets.iter().filter(|(_, source)| *source == name);
        let keys = reads.map(|(variable, _)| format!("{}.secrets.{variable}", container.path.join(".")));
        keys.collect::<Vec<_>>()
    });
    readers.collect()
}

/// Says what to write where there is no database.
fn without(stack: &Stack, name: &str) -> String {
    let secrets = readers(stack, name);
    if secrets.is_empty() {
        return "leave it out".to_owned();
    }
    format!("leave it out of `parameters`, and leave out {}", list(secrets, "and"))
}

/// Says what to write where Secrets Manager keeps the password.
fn instead(stack: &Stack, name: &str) -> String {
    let secrets: Vec<String> =
        readers(stack, name).into_iter().map(|key| format!("{key} = \"{SECRET_ARN}:password::\"")).collect();
    if secrets.is_empty() {
        return "leave it out".to_owned();
    }
    format!("leave it out of `parameters`, and write {}", list(secrets, "and"))
}

/// Checks where a secret variable comes from. Source: `Secret`, `valueFrom`.
///
/// An ARN may be of another region: ECS asks for the full ARN exactly then.
fn secret(stack: &Stack, place: String, variable: &str, source: &str, found: &mut Vec<Mistake>) {
    let names = || stack.parameters.keys().map(String::as_str);
    if stack.parameters.contains_key(source) {
        return;
    }
    if source.starts_with('/') {
        let mistake = Mistake::value(place, format!("a secret that points nowhere: there is no parameter `{source}`"))
            .related(&["parameters", source]);
        found.push(match did_you_mean(source, names()) {
            Some(meant) => mistake.hint(format!("did you mean `{meant}`?")),
            None => mistake.hint("add it to `parameters`, or give the ARN of a parameter that is there already"),
        });
        return;
    }
    if let Some(fields) = source.strip_prefix(SECRET_ARN) {
        from_database(stack, &place, fields, found);
        return;
    }
    if source.starts_with("arn:") {
        if !is_secret_arn(source) {
            found.push(Mistake::value(place, format!("`{source}` is not the ARN of a parameter or a secret")).hint(
                "write `arn:aws:ssm:REGION:ACCOUNT:parameter/NAME` or \
                     `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`",
            ));
        }
        return;
    }
    let mistake = Mistake::value(place, format!("`{variable}` must come from a parameter's name or an ARN"));
    let reference = first_reference(source);
    let ends = |word: &str| names().find(|name| name.ends_with(&format!("/{}", word.trim_start_matches('/'))));
    found.push(if let Some(meant) = ends(source).or_else(|| ends(variable)) {
        mistake.hint(format!("did you mean `{meant}`?")).related(&["parameters"])
    } else if reference.is_some() {
        mistake.hint("put the reference into a parameter, and the parameter's name here")
    } else {
        mistake.hint("a value that is no secret belongs in `environment`")
    });
}

/// Checks a variable that comes from the secret that RDS makes.
fn from_database(stack: &Stack, place: &str, fields: &str, found: &mut Vec<Mistake>) {
    if !stack.db.enabled {
        let message = format!("`{SECRET_ARN}` needs a database, and `db.enabled` is false");
        found.push(Mistake::value(place, message).related(&["db", "enabled"]));
    } else if stack.db.password == PasswordStore::Parameter {
        found.push(
            Mistake::value(place, format!("`{SECRET_ARN}` needs `db.password = \"secrets_manager\"`"))
                .hint("here the password is in the parameter whose value is `${db.password}`")
                .related(&["db", "password"]),
        );
    }
    // Source: ECS's guide, "Pass Secrets Manager secrets through environment variables": all three colons are needed.
    let complete = fields.starts_with(':') && fields.matches(':').count() == 3;
    if !fields.is_empty() && !complete {
        let mistake = Mistake::value(place, "what follows the secret's ARN must be `:JSON-KEY:STAGE:VERSION-ID`");
        found.push(mistake.hint(format!("all three colons are needed: `{SECRET_ARN}:password::`")));
    }
}

fn is_secret_arn(source: &str) -> bool {
    let parts: Vec<&str> = source.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, resource] = parts.as_slice() else { return false };
    let named = match *service {
        "ssm" => resource.strip_prefix("parameter/").is_some_and(|name| !name.is_empty() && !name.contains(':')),
        "secretsmanager" => resource.strip_prefix("secret:").is_some_and(|rest| {
            let colons = rest.matches(':').count();
            !rest.is_empty() && !rest.starts_with(':') && (colons == 0 || colons == 3)
        }),
        _ => false,
    };
    let twelve = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    partition.starts_with("aws") && is_region(region) && twelve && named && !resource.contains(char::is_whitespace)
}
