//! `serde_json::Value` as [`Reader`] and [`Writer`].

use serde_json::{Map, Value};

use super::{Name, Reader, Writer};

impl Reader for &Value {
    fn get(&self, name: Name) -> Option<Self> {
        self.as_object()?.get(name.as_str())
    }

    fn number(&self) -> Option<f64> {
        self.as_f64()
    }

    fn text(&self) -> Option<String> {
        self.as_str().map(Into::into)
    }

    fn boolean(&self) -> Option<bool> {
        self.as_bool()
    }

    fn is(&self, name: Name) -> bool {
        self.as_str() == Some(name.as_str())
    }

    fn is_object(&self) -> bool {
        Value::is_object(self)
    }

    fn length(&self) -> Option<usize> {
        self.as_array().map(Vec::len)
    }

    fn item(&self, index: usize) -> Option<Self> {
        self.as_array()?.get(index)
    }

    fn members(&self) -> Vec<(String, Self)> {
        self.as_object()
            .map(|members| members.iter().map(|(name, value)| (name.clone(), value)).collect())
            .unwrap_or_default()
    }

    fn well_formed(&self) -> bool {
        let all = |name: &str, check: fn(&Value) -> bool| {
            self[name].as_array().is_some_and(|items| items.iter().all(check))
        };
        if self["type"] == "events" {
            return all("events", |event| event.is_object() && event["type"].is_string());
        }
        let head = &self["head"];
        head["type"].is_string()
            && head.get("time").is_none()
            && head.get("text").is_none()
            && all("times", is_time)
            && all("texts", Value::is_string)
    }
}

/// Tells whether this is a number of whole milliseconds (GEN-5).
fn is_time(value: &Value) -> bool {
    let largest = ((1_u64 << 53) - 1) as f64;
    value.as_f64().is_some_and(|time| time.fract() == 0.0 && (0.0..=largest).contains(&time))
}

impl Writer for Value {
    fn object() -> Self {
        Self::Object(Map::new())
    }

    fn list() -> Self {
        Self::Array(Vec::new())
    }

    fn from_text(text: &str) -> Self {
        Self::String(text.into())
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the core writes integers below 2^53"
    )]
    fn from_number(number: f64) -> Self {
        Self::from(number as u64)
    }

    fn set(&mut self, name: &str, value: Self) {
        if let Self::Object(members) = self {
            members.insert(name.into(), value);
        }
    }

    fn push(&mut self, value: Self) {
        if let Self::Array(items) = self {
            items.push(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        if let (Self::Object(members), Self::Object(others)) = (self, other) {
            for (name, value) in others {
                members.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}
