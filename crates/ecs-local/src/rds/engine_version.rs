//! The engine versions on offer; moto has none.

use std::fmt::Write;

use hyper::StatusCode;

use super::NAMESPACE;
use crate::answer::Answer;
use crate::call::Request;

/// PostgreSQL as RDS offers it, by major version: the minors, oldest first (RDS release calendar, early 2026).
const POSTGRES: &[(u32, &[u32])] = &[
    (13, &[20, 21, 22, 23]),
    (14, &[17, 18, 19, 20]),
    (15, &[12, 13, 14, 15]),
    (16, &[8, 9, 10, 11]),
    (17, &[4, 5, 6, 7]),
    (18, &[1, 2]),
];

/// The major version that is the default for new instances.
const DEFAULT_MAJOR: u32 = 17;

/// The full version that a version stands for, if RDS offers it.
pub(super) fn resolve(wanted: &str) -> Option<String> {
    POSTGRES.iter().find_map(|&(major, minors)| {
        let mut newest_first = minors.iter().rev().map(|minor| format!("{major}.{minor}"));
        if wanted == major.to_string() { newest_first.next() } else { newest_first.find(|full| full == wanted) }
    })
}

/// Answers DescribeDBEngineVersions.
pub(super) fn describe(request: &Request) -> Answer {
    if request.form_value("Engine").is_some_and(|engine| engine != "postgres") {
        return Answer::query("DescribeDBEngineVersions", NAMESPACE, "<DBEngineVersions/>");
    }
    let family = request.form_value("DBParameterGroupFamily");
    let wanted = request.form_value("EngineVersion");
    let default_only = request.form_value("DefaultOnly") == Some("true");
    // The default of a major version is its newest minor; without a version, that of the default major.
    let chosen = |major: u32, minors: &[u32], minor: u32| {
        let (name, full) = (major.to_string(), format!("{major}.{minor}"));
        let named = wanted.is_none_or(|wanted| wanted == name || wanted == full);
        let default = minors.last() == Some(&minor) && (wanted.is_some() || major == DEFAULT_MAJOR);
        named && family.is_none_or(|family| family == format!("postgres{major}")) && (!default_only || default)
    };
    let found: Vec<(u32, u32)> = POSTGRES
        .iter()
        .flat_map(|&(major, minors)| {
            minors.iter().filter(move |&&minor| chosen(major, minors, minor)).map(move |&minor| (major, minor))
        })
        .collect();
    let number = |name: &str| request.form_value(name).and_then(|value| value.parse::<usize>().ok());
    let (from, size) = (number("Marker").unwrap_or(0), number("MaxRecords").unwrap_or(100));
    if !(20..=100).contains(&size) {
        let message = format!("Invalid value {size} for MaxRecords. Must be between 20 and 100");
        return Answer::refuse(request, StatusCode::BAD_REQUEST, "InvalidParameterValue", &message);
    }
    let mut xml = String::from("<DBEngineVersions>");
    for (major, minor) in found.iter().skip(from).take(size) {
        // Writing to a String cannot fail.
        let _ = write!(
            xml,
            "<DBEngineVersion><Engine>postgres</Engine><EngineVersion>{major}.{minor}</EngineVersion><MajorEngineVersion>{major}</MajorEngineVersion>\
             <DBParameterGroupFamily>postgres{major}</DBParameterGroupFamily><DBEngineDescription>PostgreSQL</DBEngineDescription>\
             <DBEngineVersionDescription>PostgreSQL {major}.{minor}-R1</DBEngineVersionDescription><Status>available</Status>\
             <SupportsReadReplica>true</SupportsReadReplica><SupportsLogExportsToCloudwatchLogs>true</SupportsLogExportsToCloudwatchLogs>\
             <ExportableLogTypes><member>postgresql</member><member>upgrade</member></ExportableLogTypes></DBEngineVersion>"
        );
    }
    xml.push_str("</DBEngineVersions>");
    if found.len() > from + size {
        let _ = write!(xml, "<Marker>{}</Marker>", from + size);
    }
    Answer::query("DescribeDBEngineVersions", NAMESPACE, &xml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_stands_for_its_newest_minor() {
        assert_eq!(resolve("17").as_deref(), Some("17.7"));
        assert_eq!(resolve("16.9").as_deref(), Some("16.9"));
        assert_eq!(resolve("99"), None);
    }
}
