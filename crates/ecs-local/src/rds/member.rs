//! What RDS refuses about the members of an instance, by themselves.

use crate::form::Form;
use crate::refusal::Refusal;

/// Names that PostgreSQL on RDS keeps for itself.
const RESERVED: &[&str] = &["admin", "rdsadmin", "user"];

/// From this size on, gp3 storage takes IOPS and throughput (RDS user guide, DB instance storage).
const STRIPED: u32 = 400;

/// Checks an instance that is to be made.
pub(super) fn check_creation(form: &Form<'_>) -> Result<(), Refusal> {
    let given = |member: &str| form.value(member).is_some_and(|value| !value.is_empty());
    for member in ["DBInstanceIdentifier", "DBInstanceClass", "Engine"] {
        if !given(member) {
            return Err(missing(member));
        }
    }
    check(form)?;
    // A member of a cluster or a copy has the rest from there.
    if given("DBClusterIdentifier") {
        return Ok(());
    }
    for member in ["AllocatedStorage", "MasterUsername"] {
        if !given(member) {
            return Err(missing(member));
        }
    }
    if form.value("ManageMasterUserPassword") != Some("true") && !given("MasterUserPassword") {
        return Err(missing("MasterUserPassword"));
    }
    check_storage(form)?;
    check_user(form.value("MasterUsername").unwrap_or_default())
}

/// Checks the members of an instance that is to be made or changed, as far as they are given.
pub(super) fn check(form: &Form<'_>) -> Result<(), Refusal> {
    for member in ["DBInstanceIdentifier", "NewDBInstanceIdentifier"] {
        check_identifier(member, form.value(member))?;
    }
    if let Some(class) = form.value("DBInstanceClass")
        && !is_class(class)
    {
        return Err(value(format!("Invalid DB Instance class: {class}")));
    }
    if let Some(password) = form.value("MasterUserPassword") {
        if form.value("ManageMasterUserPassword") == Some("true") {
            let message = "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.";
            return Err(combination(message));
        }
        check_password(password)?;
    }
    if let Some(days) = form.value("BackupRetentionPeriod")
        && !days.parse().is_ok_and(|days: u32| days <= 35)
    {
        let message = format!("Invalid backup retention period: {days}. Retention period must be between 0 and 35.");
        return Err(value(message));
    }
    for member in ["Port", "DBPortNumber"] {
        if let Some(port) = form.value(member)
            && !port.parse().is_ok_and(|port: u16| port >= 1150)
        {
            // The range: botocore rds model, CreateDBInstance.
            return Err(value(format!("Invalid database port: {port}. The port must be in the range 1150-65535.")));
        }
    }
    match form.value("DBName") {
        Some(name) if !is_database(name) => {
            Err(value("DBName must begin with a letter and contain only alphanumeric characters."))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks an identifier, if it is given.
pub(super) fn check_identifier(member: &str, identifier: Option<&str>) -> Result<(), Refusal> {
    let Some(identifier) = identifier else { return Ok(()) };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let valid = identifier.starts_with(|first: char| first.is_ascii_alphabetic())
        && identifier.bytes().all(plain)
        && !identifier.ends_with('-')
        && !identifier.contains("--");
    if !valid {
        return Err(value(format!(
            "The parameter {member} is not a valid identifier. Identifiers must begin with a letter; must contain \
             only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive \
             hyphens."
        )));
    }
    let longest = if member.contains("Snapshot") { 255 } else { 63 };
    if identifier.len() > longest {
        let message = format!("The parameter {member} must not be longer than {longest} characters.");
        return Err(value(message));
    }
    Ok(())
}

/// Checks size, IOPS and limit of the storage (botocore rds model, CreateDBInstance).
fn check_storage(form: &Form<'_>) -> Result<(), Refusal> {
    let engine = form.value("Engine").unwrap_or_default();
    let kind = form.value("StorageType").unwrap_or("gp2");
    let range = match kind {
        "gp2" | "gp3" => 20..=65536,
        "io1" | "io2" => 100..=65536,
        "standard" => 5..=3072,
        _ => return Err(Refusal::new("StorageTypeNotSupported", format!("Invalid storage type: {kind}"))),
    };
    let given = form.value("AllocatedStorage").unwrap_or_default();
    let Some(size) = given.parse().ok().filter(|size: &u32| range.contains(size)) else {
        let message = format!("Invalid storage size for engine name {engine} and storage type {kind}: {given}");
        return Err(combination(message));
    };
    let fast = form.value("Iops").is_some() || form.value("StorageThroughput").is_some();
    if kind == "gp3" && size < STRIPED && fast {
        let message = format!(
            "You can't specify IOPS or storage throughput for engine {engine} and a storage size less than {STRIPED}."
        );
        return Err(combination(message));
    }
    match form.value("MaxAllocatedStorage").and_then(|limit| limit.parse::<u32>().ok()) {
        Some(limit) if limit < size => Err(combination("Max storage size must be greater than storage size")),
        Some(_) | None => Ok(()),
    }
}

fn check_user(user: &str) -> Result<(), Refusal> {
    if RESERVED.contains(&user.to_ascii_lowercase().as_str()) {
        let message = format!("MasterUsername {user} cannot be used as it is a reserved word used by the engine");
        return Err(value(message));
    }
    let valid = user.len() <= 63
        && user.starts_with(|first: char| first.is_ascii_alphabetic())
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if valid { Ok(()) } else { Err(value(format!("Invalid master user name: {user}"))) }
}

fn check_password(password: &str) -> Result<(), Refusal> {
    let prefix = "The parameter MasterUserPassword is not a valid password";
    if password.len() < 8 {
        return Err(value(format!("{prefix} because it is shorter than 8 characters.")));
    }
    if password.len() > 128 {
        return Err(value(format!("{prefix} because it is longer than 128 characters.")));
    }
    if !password.bytes().all(|byte| byte.is_ascii_graphic() && !b"/@\"".contains(&byte)) {
        let message = format!("{prefix}. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.");
        return Err(value(message));
    }
    Ok(())
}

fn is_class(class: &str) -> bool {
    let parts: Vec<&str> = class.split('.').collect();
    let plain = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    parts.len() >= 3 && parts[0] == "db" && parts.iter().all(plain)
}

fn is_database(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn missing(member: &str) -> Refusal {
    value(format!("The parameter {member} must be provided and must not be blank."))
}

fn value(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterValue", message)
}

pub(super) fn combination(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterCombination", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::request;

    /// The message of the refusal of an instance with other members.
    fn refused(more: &[(&str, &str)]) -> Option<String> {
        let mut members = vec![
            ("DBInstanceIdentifier", "db"),
            ("DBInstanceClass", "db.t4g.micro"),
            ("Engine", "postgres"),
            ("AllocatedStorage", "20"),
            ("StorageType", "gp3"),
            ("MasterUsername", "postgres"),
            ("MasterUserPassword", "password1"),
        ];
        members.retain(|(member, _)| more.iter().all(|(other, _)| other != member));
        members.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let body =
            url::form_urlencoded::Serializer::new("Action=CreateDBInstance&".to_owned()).extend_pairs(members).finish();
        let request = request("rds", &body);
        check_creation(&Form::of(&request)).err().map(|refusal| refusal.message)
    }

    #[test]
    fn an_instance_is_as_rds_takes_it() {
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&[("AllocatedStorage", "400"), ("Iops", "12000"), ("DBName", "files_1")]), None);
        assert_eq!(refused(&[("MasterUserPassword", ""), ("ManageMasterUserPassword", "true")]), None);
        for (member, value, message) in [
            ("DBInstanceIdentifier", "1db", "The parameter DBInstanceIdentifier is not a valid identifier."),
            ("DBInstanceIdentifier", "d--b", "The parameter DBInstanceIdentifier is not a valid identifier."),
            ("DBInstanceIdentifier", "db-", "The parameter DBInstanceIdentifier is not a valid identifier."),
            ("DBInstanceClass", "t4g.micro", "Invalid DB Instance class: t4g.micro"),
            ("AllocatedStorage", "10", "Invalid storage size for engine name postgres and storage type gp3: 10"),
            ("AllocatedStorage", "65537", "Invalid storage size for engine name postgres"),
            ("StorageType", "floppy", "Invalid storage type: floppy"),
            ("Iops", "3000", "You can't specify IOPS or storage throughput for engine postgres"),
            ("MaxAllocatedStorage", "19", "Max storage size must be greater than storage size"),
            ("MasterUsername", "admin", "MasterUsername admin cannot be used as it is a reserved word"),
            ("MasterUserPassword", "", "The parameter MasterUserPassword must be provided"),
            ("MasterUserPassword", "short", "The parameter MasterUserPassword is not a valid password because"),
            ("MasterUserPassword", "pass/word1", "The parameter MasterUserPassword is not a valid password. Only"),
            ("MasterUserPassword", "pass word1", "The parameter MasterUserPassword is not a valid password. Only"),
            ("ManageMasterUserPassword", "true", "You can't specify MasterUserPassword"),
            ("BackupRetentionPeriod", "36", "Invalid backup retention period: 36."),
            ("Port", "80", "Invalid database port: 80."),
            ("DBName", "file-analyzer", "DBName must begin with a letter"),
        ] {
            let refusal = refused(&[(member, value)]);
            assert!(refusal.as_ref().is_some_and(|refusal| refusal.starts_with(message)), "{value}: {refusal:?}");
        }
    }
}
