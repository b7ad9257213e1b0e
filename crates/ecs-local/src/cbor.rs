//! CBOR as Smithy RPC v2 speaks it, to JSON and back.

use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value};

/// The tag of a timestamp (RFC 8949, 3.4.2): seconds since the Unix epoch.
const EPOCH: u64 = 1;

/// Members that are timestamps (botocore cloudwatch model): CBOR marks them, JSON does not.
const TIMESTAMPS: &[&str] = &[
    "AlarmConfigurationUpdatedTimestamp",
    "LastModified",
    "StateTransitionedTimestamp",
    "StateUpdatedTimestamp",
    "Timestamp",
    "Timestamps",
];

/// Members that are doubles: what is whole in JSON must not become an integer, which decoders refuse.
const DOUBLES: &[&str] = &["Average", "Counts", "Maximum", "Minimum", "SampleCount", "Sum", "Threshold", "Values"];

/// Reads a body; one that is empty has no members, and timestamps become seconds since the Unix epoch.
pub(crate) fn to_json(body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return Some(Value::Object(Map::new()));
    }
    Some(json(ciborium::from_reader(body).ok()?))
}

/// Writes a body.
pub(crate) fn from_json(value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    // A vector takes every write.
    let _ = ciborium::into_writer(&cbor("", value), &mut body);
    body
}

fn json(value: Cbor) -> Value {
    match value {
        Cbor::Integer(number) => {
            let number = i128::from(number);
            i64::try_from(number).map_or(Value::Null, |number| Value::Number(number.into()))
        }
        Cbor::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Cbor::Text(text) => Value::String(text),
        Cbor::Bool(bool) => Value::Bool(bool),
        Cbor::Tag(_, inner) => json(*inner),
        Cbor::Array(items) => items.into_iter().map(json).collect(),
        Cbor::Map(members) => {
            let member = |(name, value): (Cbor, Cbor)| Some((name.into_text().ok()?, json(value)));
            Value::Object(members.into_iter().filter_map(member).collect())
        }
        Cbor::Null | Cbor::Bytes(_) | _ => Value::Null,
    }
}

/// A value as a member of this name; the items of a list are like their list.
fn cbor(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(bool) => Cbor::Bool(*bool),
        Value::Number(number) => {
            let float = Cbor::Float(number.as_f64().unwrap_or_default());
            match number.as_i64() {
                _ if TIMESTAMPS.contains(&name) => Cbor::Tag(EPOCH, Box::new(float)),
                Some(whole) if !DOUBLES.contains(&name) => Cbor::Integer(whole.into()),
                Some(_) | None => float,
            }
        }
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| cbor(name, item)).collect()),
        Value::Object(members) => {
            Cbor::Map(members.iter().map(|(name, value)| (Cbor::Text(name.clone()), cbor(name, value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({"AlarmName": "a", "Period": 60, "Threshold": 5.5, "ActionsEnabled": true, "Dimensions": [{"Name": "x"}]});
        assert_eq!(to_json(&from_json(&value)), Some(value));
        assert_eq!(to_json(b""), Some(json!({})));
        assert_eq!(to_json(b"\xff"), None);
    }

    #[test]
    fn timestamps_are_tagged_and_doubles_stay_doubles() {
        let body = from_json(&json!({"Timestamp": 1000}));
        assert_eq!(body[11], 0xc1, "{body:x?}");
        let body = from_json(&json!({"Threshold": 1}));
        assert_eq!(body[11], 0xf9, "{body:x?}");
    }
}
