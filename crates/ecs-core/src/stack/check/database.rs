//! The database: its names, version and storage.

use super::{Mistake, did_you_mean, one_of};
use crate::stack::{DbConfig, PasswordStore, Stack};

/// Storage types that need nothing besides a size, and the sizes in GiB that they take.
///
/// Source: `CreateDBInstance`, `AllocatedStorage` and `StorageType`. `io1` and `io2` must be given a number of IOPS,
/// which the stack file has no key for.
const STORAGE: [(&str, std::ops::RangeInclusive<i32>); 3] =
    [("gp2", 20..=65536), ("gp3", 20..=65536), ("standard", 10..=3072)];

/// Names that RDS for PostgreSQL keeps for itself.
///
/// Source: RDS's guide, "Understanding PostgreSQL roles and permissions"; `admin` by its refusal: "MasterUsername admin
/// cannot be used as it is a reserved word used by the engine".
const RDS_NAMES: [&str; 7] =
    ["admin", "rdsadmin", "rds_superuser", "rds_replication", "rds_password", "rds_iam", "rdsrepladmin"];

/// Words that PostgreSQL reserves. Source: PostgreSQL's documentation, appendix C, the column "PostgreSQL".
const RESERVED_WORDS: &str = "all analyse analyze and any array as asc asymmetric both case cast check collate column \
    constraint create current_catalog current_date current_role current_time current_timestamp current_user default \
    deferrable desc distinct do else end except false fetch for foreign from grant group having in initially intersect \
    into lateral leading limit localtime localtimestamp not null offset on only or order placing primary references \
    returning select session_user some symmetric system_user table then to trailing true union unique user using \
    variadic when where window with";

/// Checks the database, if there is to be one.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    let db = &stack.db;
    if !db.enabled {
        return;
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, export) in db.log_exports.iter().enumerate().filter(|(_, export)| !seen.insert(**export)) {
        let message = format!("`{}` stands here twice", export.name());
        found.push(Mistake::value(format!("/db/log_exports/{index}"), message));
    }
    for (name, value) in &db.parameters {
        let place = crate::stack::pointer::pointer(&["db", "parameters", name]);
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
        if name.is_empty() || !name.chars().all(allowed) {
            let message = format!("`{name}` is not the name of a parameter of PostgreSQL");
            found.push(Mistake::key(&place, message).hint("write it like `max_connections` or `rds.force_ssl`"));
        }
        if value.is_empty() {
            found.push(Mistake::value(&place, format!("the parameter `{name}` has no value")));
        }
        if name == "rds.force_ssl" && db.force_tls && value != "1" {
            let mistake = Mistake::value(&place, "`force_tls = true` says the opposite");
            found.push(mistake.related(&["db", "force_tls"]));
        }
    }
    found.extend(password_rotation(db));
    identifiers(db, found);
    version_and_class(db, found);
    storage(db, found);
    for (place, what, name) in [("/db/database", "database name", &db.database), ("/db/user", "user name", &db.user)] {
        found.extend(sql_name(what, name).map(|message| Mistake::value(place, message)));
    }
    if RDS_NAMES.contains(&db.user.to_lowercase().as_str()) || db.user.to_lowercase().starts_with("pg_") {
        let message = format!("RDS keeps the user name `{}` for itself", db.user);
        found.push(Mistake::value("/db/user", message).hint("`postgres` is the usual one"));
    }
    // A database of this name is in every instance of RDS.
    if db.database == "rdsadmin" {
        found.push(Mistake::value("/db/database", "RDS keeps the database name `rdsadmin` for itself"));
    }
}

/// Returns what is wrong with a rotation of the password: RDS alone rotates, and nothing but what it keeps itself.
fn password_rotation(db: &DbConfig) -> Option<Mistake> {
    db.password_rotation_days?;
    let place = "/db/password_rotation_days";
    if db.existing {
        let mistake = Mistake::value(place, "the password of a database that somebody else made is not ours to rotate");
        return Some(mistake.related(&["db", "existing"]));
    }
    (db.password == PasswordStore::Parameter).then(|| {
        Mistake::value(place, "nobody rotates a password that is kept in the Parameter Store").hint(
            "`password = \"secrets_manager\"` has RDS keep and rotate it; `ecs-db --rotate-password` changes it once",
        )
    })
}

/// Source: `CreateDBInstance`, `DBInstanceIdentifier`; `CreateDBSubnetGroup`, `DBSubnetGroupName`.
///
/// RDS stores both in lower case: one in upper case would never be found as it was written.
fn identifiers(db: &DbConfig, found: &mut Vec<Mistake>) {
    let id = &db.identifier;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = if !id.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("must start with a lower-case letter".to_owned())
    } else if id.len() > 63 {
        Some(format!("has {} characters, at most 63 are allowed", id.len()))
    } else if let Some(bad) = id.chars().find(|&c| !allowed(c)) {
        Some(format!("holds {bad:?}, only lower-case letters, digits and hyphens are allowed"))
    } else if id.contains("--") || id.ends_with('-') {
        Some("must not end with a hyphen or have two in a row".to_owned())
    } else {
        None
    };
    found.extend(problem.map(|p| Mistake::value("/db/identifier", format!("the database identifier `{id}` {p}"))));
    let group = &db.subnet_group;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || " ._-".contains(c);
    let problem = if group == "default" {
        Some("belongs to RDS".to_owned())
    } else if !group.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("must start with a lower-case letter".to_owned())
    } else if group.len() > 255 {
        Some(format!("has {} characters, at most 255 are allowed", group.len()))
    } else {
        group.chars().find(|&c| !allowed(c)).map(|bad| {
            format!(
                "holds {bad:?}, only lower-case letters, digits, spaces, periods, hyphens and underscores are allowed"
            )
        })
    };
    found.extend(
        problem.map(|p| Mistake::value("/db/subnet_group", format!("the DB subnet group's name `{group}` {p}"))),
    );
    if db.subnet_group_description.trim().is_empty() {
        found.push(Mistake::value("/db/subnet_group_description", "the DB subnet group's description is empty"));
    }
}

fn version_and_class(db: &DbConfig, found: &mut Vec<Mistake>) {
    if let Some(version) = &db.engine_version {
        let numbers: Vec<&str> = version.split('.').collect();
        let number = |text: &&str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if numbers.len() > 2 || !numbers.iter().all(number) {
            found.push(
                Mistake::value("/db/engine_version", format!("`{version}` is not a PostgreSQL version")).hint(
                    "write a major version such as `17`, a full one such as `17.6`, or leave it out for the newest",
                ),
            );
        }
    }
    let class = &db.instance_class;
    let parts: Vec<&str> = class.split('.').collect();
    let word = |text: &&str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if parts.len() != 3 || parts[0] != "db" || !parts.iter().all(word) {
        let mistake = Mistake::value("/db/instance_class", format!("`{class}` is not a DB instance class"));
        let hint = if parts.len() == 2 && parts[0] != "db" && parts.iter().all(word) {
            format!("did you mean `db.{class}`?")
        } else {
            "a class is written like `db.t3.medium`".to_owned()
        };
        found.push(mistake.hint(hint));
    }
}

fn storage(db: &DbConfig, found: &mut Vec<Mistake>) {
    let (size, kind) = (db.allocated_storage, db.storage_type.as_str());
    let Some((_, sizes)) = STORAGE.iter().find(|(name, _)| *name == kind) else {
        let names = STORAGE.map(|(name, _)| name);
        let mistake = Mistake::value("/db/storage_type", format!("expected {}, found `{kind}`", one_of(names)));
        found.push(if kind == "io1" || kind == "io2" {
            mistake.hint("`io1` and `io2` need a number of IOPS, which the stack file has no key for")
        } else if let Some(meant) = did_you_mean(kind, names) {
            mistake.hint(format!("did you mean `{meant}`?"))
        } else {
            mistake
        });
        return;
    };
    if size > *sizes.end() {
        let message = format!("{kind} storage is {} to {} GiB, found {size}", sizes.start(), sizes.end());
        found.push(Mistake::value("/db/allocated_storage", message).related(&["db", "storage_type"]));
    }
    let Some(most) = db.max_allocated_storage else { return };
    let place = "/db/max_allocated_storage";
    // Source: RDS's guide, "Managing capacity automatically with RDS storage autoscaling": the maximum must be set to at
    // least 10 % more than the allocated storage; 26 % or more keeps RDS from warning at once.
    let least = (u64::from(size.unsigned_abs()) * 11).div_ceil(10);
    if u64::try_from(most).unwrap_or_default() < least {
        found.push(
            Mistake::value(place, format!("storage autoscaling needs at least 10 % above {size} GiB, found {most}"))
                .hint(format!("at least {least}; leave it out for no autoscaling"))
                .related(&["db", "allocated_storage"]),
        );
    } else if most > *sizes.end() {
        let message = format!("{kind} storage is {} to {} GiB, found {most}", sizes.start(), sizes.end());
        found.push(Mistake::value(place, message).related(&["db", "storage_type"]));
    }
}

/// Returns what is wrong with a name inside PostgreSQL. Source: `CreateDBInstance`, `DBName` and `MasterUsername`.
fn sql_name(what: &str, name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Some(format!("the {what} `{name}` does not start with a letter"))
    } else if name.len() > 63 {
        Some(format!("the {what} `{name}` has {} characters, at most 63 are allowed", name.len()))
    } else if let Some(bad) = name.chars().find(|&c| !allowed(c)) {
        Some(format!("the {what} `{name}` holds {bad:?}, only letters, digits and underscores are allowed"))
    } else if RESERVED_WORDS.split(' ').any(|word| word == name.to_lowercase()) {
        Some(format!("the {what} `{name}` is a word that PostgreSQL reserves"))
    } else {
        None
    }
}
