//! JSON pointers (RFC 6901), which name a place in a stack file whatever it is written in.

use std::fmt::Write as _;

/// Returns the pointer that its segments make, escaped.
pub(super) fn pointer(segments: &[&str]) -> String {
    segments.iter().fold(String::new(), |parent, segment| child(&parent, segment))
}

/// Returns the pointer to a member of what another one points to.
pub(super) fn child(parent: &str, segment: &str) -> String {
    format!("{parent}/{}", segment.replace('~', "~0").replace('/', "~1"))
}

/// Returns the pointer to what holds the place, none for the root.
pub(super) fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').map(|index| &pointer[..index])
}

/// Returns the segments of a pointer, unescaped.
pub(super) fn segments(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

/// Says whether a place is another one or lies within it.
pub(super) fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the place as a TOML key: `services.backend.cpu`, `parameters."/ecs/backend/DB_HOST"`.
pub(super) fn dotted(pointer: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut key = String::new();
    for segment in segments(pointer) {
        if !key.is_empty() {
            key.push('.');
        }
        if !segment.is_empty() && segment.chars().all(bare) {
            key.push_str(&segment);
        } else {
            let _ = write!(key, "{segment:?}");
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_and_reads_back() {
        let place = pointer(&["parameters", "/a~b", "value"]);
        assert_eq!(place, "/parameters/~1a~0b/value");
        assert_eq!(segments(&place).collect::<Vec<_>>(), ["parameters", "/a~b", "value"]);
        assert_eq!(dotted(&place), "parameters.\"/a~b\".value");
        assert_eq!(parent(&place), Some("/parameters/~1a~0b"));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn within_goes_by_whole_segments() {
        assert!(is_within("/db/user", "/db"));
        assert!(is_within("/db", "/db"));
        assert!(!is_within("/dbs", "/db"));
        assert!(is_within("/db", ""));
    }
}
