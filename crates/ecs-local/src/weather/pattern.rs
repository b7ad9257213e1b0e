//! Patterns of names, with `*` for anything.

/// Says whether a name is meant by a pattern in which `*` stands for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_anything() {
        assert!(matches("*", "") && matches("*", "ec2:CreateVpc"));
        assert!(matches("ec2:Create*", "ec2:CreateVpc") && !matches("ec2:Create*", "ec2:DeleteVpc"));
        assert!(matches("a*b*c", "a-b-b-c") && !matches("a*b*c", "a-c"));
        assert!(matches("web", "web") && !matches("web", "web2"));
        assert!(!matches("ab*ba", "aba"));
    }
}
