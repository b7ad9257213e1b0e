//! Which PostgreSQL version a new instance gets, and how versions compare.

use aws_sdk_rds::types::DbEngineVersion;
use ecs_aws::Answer as _;
use ecs_core::{Error, Listing, Result, Stack};

use crate::Rds;

/// RDS's name of PostgreSQL.
pub const ENGINE: &str = "postgres";

/// The version that the stack file asks for, and what comes of it.
#[derive(Debug)]
pub struct EngineVersion {
    wanted: Option<String>,
    chosen: Listing<String>,
}

impl EngineVersion {
    /// Makes the version of the stack's database.
    pub fn new(stack: &Stack) -> Self {
        Self { wanted: stack.db.engine_version.clone(), chosen: Listing::default() }
    }

    /// Returns the full version that the stack file names, if it names one.
    pub fn given(&self) -> Option<&str> {
        self.wanted.as_deref().filter(|version| version.contains('.'))
    }

    /// Returns the full version for a new instance: as given, else the newest that RDS offers of the major version.
    ///
    /// # Errors
    /// When RDS offers none.
    pub async fn choose(&self, rds: &Rds) -> Result<String> {
        if let Some(version) = self.given() {
            return Ok(version.to_owned());
        }
        let chosen = self.chosen.get(async || {
            let pages = rds.read.describe_db_engine_versions().engine(ENGINE).into_paginator().items().send();
            let offered = pages.collect::<Result<Vec<_>, _>>().await.answer("rds:DescribeDBEngineVersions")?;
            newest(&offered, self.wanted.as_deref())
        });
        Ok(chosen.await?.as_ref().clone())
    }
}

/// Returns a version as numbers, none for a beta or anything else that is not generally available.
///
/// RDS offers majors under extended support as `11.22-rds.20240509`:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html>
pub fn numbers(version: &str) -> Option<Vec<u32>> {
    let (version, release) = match version.split_once("-rds.") {
        Some((version, release)) => (version, Some(release)),
        None => (version, None),
    };
    version.split('.').chain(release).map(|part| part.parse().ok()).collect()
}

/// Returns the newest version on offer, of one major version or of all.
fn newest(offered: &[DbEngineVersion], major: Option<&str>) -> Result<String> {
    let available = offered.iter().filter(|offer| offer.status().is_none_or(|status| status == "available"));
    let mut versions: Vec<_> = available
        .filter_map(|offer| offer.engine_version())
        .filter_map(|version| numbers(version).map(|numbers| (numbers, version)))
        .collect();
    versions.sort();
    let wanted = major.and_then(numbers).and_then(|numbers| numbers.first().copied());
    let fits = |numbers: &[u32]| wanted.is_none_or(|major| numbers.first() == Some(&major));
    if let Some((_, version)) = versions.iter().rev().find(|(numbers, _)| fits(numbers)) {
        return Ok((*version).to_owned());
    }
    let mut majors: Vec<_> = versions.iter().filter_map(|(numbers, _)| numbers.first()).map(u32::to_string).collect();
    majors.dedup();
    Err(Error::usage(format!("RDS offers no PostgreSQL {} in this region", major.unwrap_or("version")))
        .hint(format!("it offers {}: set `db.engine_version` in the stack file", majors.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(version: &str, status: &str) -> DbEngineVersion {
        DbEngineVersion::builder().engine(ENGINE).engine_version(version).status(status).build()
    }

    #[test]
    fn the_newest_is_chosen_by_number() {
        let offered: Vec<_> = [
            ("11.22-rds.20240509", "available"),
            ("11.22-rds.20241121", "available"),
            ("16.9", "available"),
            ("16.10", "available"),
            ("17.2", "available"),
            ("17.10", "deprecated"),
            ("18.0-beta2", "available"),
        ]
        .map(|(version, status)| offer(version, status))
        .into();
        let cases = [
            (None, Some("17.2")),
            (Some("16"), Some("16.10")),
            (Some("17"), Some("17.2")),
            (Some("11"), Some("11.22-rds.20241121")),
            (Some("18"), None),
        ];
        for (major, version) in cases {
            assert_eq!(newest(&offered, major).ok().as_deref(), version, "{major:?}");
        }
        let error = newest(&offered, Some("9")).expect_err("not offered").render();
        assert!(error.contains("it offers 11, 16, 17"), "{error}");
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(numbers("17.6"), Some(vec![17, 6]));
        assert_eq!(numbers("11.22-rds.20240509"), Some(vec![11, 22, 20_240_509]));
        assert_eq!(numbers("18beta1"), None);
        assert!(numbers("17.10") > numbers("17.9"));
    }
}
