//! Reading requests, and paging answers.

use serde_json::{Map, Value, json};

use super::error::{Stop, invalid_parameter};

/// A text member.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// A list of texts; empty where there is none.
pub(crate) fn texts<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    list(value, name).iter().filter_map(Value::as_str).collect()
}

/// A list; empty where there is none.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A number.
pub(crate) fn number(value: &Value, name: &str) -> Option<i64> {
    value.get(name).and_then(Value::as_i64)
}

/// Whether the request's `include` names something.
pub(crate) fn includes(request: &Value, what: &str) -> bool {
    texts(request, "include").contains(&what)
}

/// The members of `from` that are named and not null.
pub(crate) fn pick(from: &Value, names: &[&str]) -> Map<String, Value> {
    let mut picked = Map::new();
    for name in names {
        if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
            picked.insert((*name).to_owned(), value.clone());
        }
    }
    picked
}

/// The name at the end of an ARN, or the name itself.
pub(crate) fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The answer of a list operation: one page under `member`, and `nextToken` where there are more.
pub(crate) fn page(request: &Value, member: &str, items: Vec<Value>, usual: usize) -> Result<Value, Stop> {
    let from = match text(request, "nextToken") {
        Some(token) => token.parse().map_err(|_| invalid_parameter("Invalid token."))?,
        None => 0,
    };
    let size = number(request, "maxResults").and_then(|size| usize::try_from(size).ok()).unwrap_or(usual).clamp(1, 100);
    let more = items.len() > from + size;
    let shown: Vec<Value> = items.into_iter().skip(from).take(size).collect();
    let mut answer = json!({ member: shown });
    if more {
        answer["nextToken"] = json!((from + size).to_string());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let items = || (1..=5).map(|n| json!(n)).collect::<Vec<_>>();
        let first = page(&json!({"maxResults": 3}), "items", items(), 10).expect("a page");
        assert_eq!(first, json!({"items": [1, 2, 3], "nextToken": "3"}));
        let second = page(&json!({"maxResults": 3, "nextToken": "3"}), "items", items(), 10).expect("a page");
        assert_eq!(second, json!({"items": [4, 5]}));
        assert!(page(&json!({"nextToken": "x"}), "items", items(), 10).is_err());
    }
}
