//! Lifecycle policies: the one that we write, and a form in which any two can be compared.

use std::fmt;

use serde_json::{Map, Value, json};

/// What a lifecycle policy does, whatever its descriptions and the order of its keys.
///
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html>
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle(Value);

impl Lifecycle {
    /// Makes the policy that keeps the last images of a repository, tagged or not.
    pub fn keep(images: u32) -> Self {
        Self(canonical(&document(images)))
    }

    /// Reads a policy as ECR returns it.
    pub fn read(text: &str) -> Self {
        let document = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        Self(canonical(&document))
    }
}

impl fmt::Display for Lifecycle {
    /// Says what it does where it is one of ours, else shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.pointer("/rules/0/selection/countNumber").and_then(Value::as_u64);
        match count.and_then(|count| u32::try_from(count).ok()).filter(|count| *self == Self::keep(*count)) {
            Some(count) => write!(f, "keep the last {count} images"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Returns the text of the policy that keeps the last images.
pub fn text(images: u32) -> String {
    document(images).to_string()
}

fn document(images: u32) -> Value {
    json!({
        "rules": [{
            "rulePriority": 1,
            "description": format!("Keep last {images} images"),
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": images},
            "action": {"type": "expire"}
        }]
    })
}

/// Leaves out what changes nothing: descriptions, nulls and empty lists.
///
/// Rules keep their order: ECR sorts them by priority, as
/// <https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/ecr_lifecycle_policy> has found.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let telling = members.iter().filter(|(key, value)| {
                let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                *key != "description" && !empty
            });
            Value::Object(telling.map(|(key, value)| (key.clone(), canonical(value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ecr_reads_back_is_compared_by_what_it_does() {
        let cases = [
            // As written, and in the key order of the API reference's examples.
            (text(10), true, "keep the last 10 images"),
            (
                r#"{"rules":[{"action":{"type":"expire"},"selection":{"countNumber":10,"countType":"imageCountMoreThan","tagStatus":"any"},"description":"Keep last 10 images","rulePriority":1}]}"#.to_owned(),
                true,
                "keep the last 10 images",
            ),
            // Another description, and an empty list of prefixes.
            (
                r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","tagPrefixList":[],"countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}"#.to_owned(),
                true,
                "keep the last 10 images",
            ),
            (text(30), false, "keep the last 30 images"),
            // Untagged images only.
            (
                r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}"#.to_owned(),
                false,
                r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}"#,
            ),
            ("nonsense".to_owned(), false, r#""nonsense""#),
        ];
        for (read, same, shown) in cases {
            let lifecycle = Lifecycle::read(&read);
            assert_eq!(lifecycle == Lifecycle::keep(10), same, "{read}");
            assert_eq!(lifecycle.to_string(), shown, "{read}");
        }
    }
}
