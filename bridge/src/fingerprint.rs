//! Fingerprints of what a page sends: the same for equal JSON values (SND-2).

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Tells bodies apart as JSON values: by their fields in any order, and numbers by their value.
pub(crate) fn fingerprint(kind: &str, body: &Value) -> Arc<str> {
    hashed(kind, |text| canonical(body, text))
}

/// The same for an object.
pub(crate) fn fingerprint_of_fields(kind: &str, fields: &Map<String, Value>) -> Arc<str> {
    hashed(kind, |text| canonical_fields(fields, text))
}

/// An item of a list.
#[derive(Clone, Copy)]
pub(crate) enum Item<'a> {
    Value(&'a Value),
    Fields(&'a Map<String, Value>),
}

/// The same for a list.
pub(crate) fn fingerprint_of_list(kind: &str, items: &[Item<'_>]) -> Arc<str> {
    hashed(kind, |text| {
        canonical_list(items, text, |item, text| match item {
            Item::Value(value) => canonical(value, text),
            Item::Fields(fields) => canonical_fields(fields, text),
        });
    })
}

fn hashed(kind: &str, write: impl FnOnce(&mut String)) -> Arc<str> {
    let mut text = String::from(kind);
    write(&mut text);
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        // A page has doubles only: 1, 1.0 and 1e0 are one number to it. With an exponent none is long.
        Value::Number(number) => {
            text.push_str(&format!("{:e}", number.as_f64().unwrap_or_default() + 0.0));
        }
        Value::Array(items) => canonical_list(items, text, canonical),
        Value::Object(fields) => canonical_fields(fields, text),
    }
}

fn canonical_list<T>(items: &[T], text: &mut String, write: impl Fn(&T, &mut String)) {
    text.push('[');
    for item in items {
        write(item, text);
        text.push(',');
    }
    text.push(']');
}

fn canonical_fields(fields: &Map<String, Value>, text: &mut String) {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_unstable_by_key(|(key, _)| *key);
    text.push('{');
    for (key, item) in fields {
        text.push_str(&Value::from(key.as_str()).to_string());
        text.push(':');
        canonical(item, text);
        text.push(',');
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    // PROTOCOL: SND-2
    #[test]
    fn an_object_has_the_same_fingerprint_as_the_value_that_it_is() {
        let value = serde_json::json!({ "b": [1, { "c": null }], "a": "x" });
        let fields = value.as_object().unwrap();
        assert_eq!(fingerprint_of_fields("send", fields), fingerprint("send", &value));
        for other in [serde_json::json!("r1"), Value::Null] {
            let [first, last] = [serde_json::json!([other, value]), serde_json::json!([value, other])];
            let (object, other) = (Item::Fields(fields), Item::Value(&other));
            assert_eq!(fingerprint_of_list("edit", &[other, object]), fingerprint("edit", &first));
            assert_eq!(fingerprint_of_list("steer", &[object, other]), fingerprint("steer", &last));
        }
    }

    // PROTOCOL: SND-2
    #[test]
    fn bodies_are_compared_as_json_values() {
        let print = |text: &str| fingerprint("send", &serde_json::from_str(text).unwrap());
        assert_eq!(print(r#"{"a":1,"b":[2,{"c":null}]}"#), print(r#"{ "b": [2.0, {"c": null}], "a": 1e0 }"#));
        assert_eq!(print("-0"), print("0"));
        assert_eq!(print(r#""\u0041""#), print(r#""A""#));
        for (one, other) in
            [("1", "2"), ("1", "\"1\""), ("[1,2]", "[2,1]"), ("[1]", "1"), (r#"{"a":1}"#, r#"{"a":2}"#)]
        {
            assert_ne!(print(one), print(other), "{one} {other}");
        }
        assert_ne!(fingerprint("send", &Value::Null), fingerprint("cancel", &Value::Null));
        assert_ne!(print("1e308"), print("1e307"));
        assert_ne!(print("1"), print("1.0000000000000002"));
    }

    #[test]
    fn the_text_of_a_fingerprint_is_not_much_longer_than_its_body() {
        for number in ["1e308", "-1.7976931348623157e308", "5e-324", "9007199254740991"] {
            let body = format!("[{}]", vec![number; 1_000].join(","));
            let mut text = String::new();
            canonical(&serde_json::from_str(&body).unwrap(), &mut text);
            assert!(text.len() < body.len() * 2, "{number}: {} bytes of {}", text.len(), body.len());
        }
    }
}
