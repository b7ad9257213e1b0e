//! What the checks say of a stack that is wrong.

mod data;
mod network;
mod services;
mod stack;

use serde_json::Value;

use super::*;
use crate::stack::Zones;

/// Returns what is wrong with the default stack after a merge patch, as `place: message (hint)`.
fn mistakes(patch: &Value) -> Vec<String> {
    let mut value = serde_json::to_value(Stack::default()).unwrap();
    json_patch::merge(&mut value, patch);
    let stack: Stack = serde_json::from_value(value).unwrap();
    let line = |mistake: Mistake| {
        let hint = mistake.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", dotted(&mistake.pointer), mistake.message)
    };
    check(&stack, Some("us-east-1")).into_iter().map(line).collect()
}

/// Checks rows: a patch of the default stack, and all that is then wrong.
#[track_caller]
fn assert_mistakes(rows: &[(Value, &[&str])]) {
    for (patch, expected) in rows {
        assert_eq!(&mistakes(patch), expected, "{patch}");
    }
}

#[test]
fn the_default_stack_is_right_in_every_region() {
    for region in [None, Some("us-east-1"), Some("ap-southeast-2"), Some("us-gov-west-1")] {
        assert_eq!(check(&Stack::default(), region), []);
    }
    assert!(check_all(&Stack::default()).is_ok());
}

#[test]
fn a_stack_from_the_pipe_is_checked_against_the_schema_too() {
    let mut stack = Stack::default();
    stack.db.port = 80;
    stack.name = "Prod".to_owned();
    let error = check_all(&stack).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Usage);
    assert_eq!(
        error.message(),
        "2 mistakes in the stack\n  db.port: expected a whole number from 1150 to 65535, found the number 80\n  \
         name: the stack name `Prod` holds 'P', only lower-case letters, digits and hyphens are allowed"
    );
}

#[test]
fn a_guess_is_a_slip_or_a_part() {
    let keys = ["desired", "log_retention_days", "cpu", "tag", "environment", "min", "max", "port"];
    for (word, meant) in [
        ("desird", Some("desired")),
        ("prot", Some("port")),
        ("retention_days", Some("log_retention_days")),
        ("desired_count", Some("desired")),
        ("env", Some("environment")),
        ("maxx", Some("max")),
        ("CPU", Some("cpu")),
        ("zone", None),
        ("xyz", None),
    ] {
        assert_eq!(did_you_mean(word, keys), meant, "{word}");
    }
}

#[test]
fn lists_read_like_english() {
    assert_eq!(one_of(["a"]), "`a`");
    assert_eq!(one_of([1, 2]), "`1` or `2`");
    assert_eq!(list(["a", "b", "c"], "and"), "`a`, `b` and `c`");
}
