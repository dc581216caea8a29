//! JavaScript values as the [`Reader`] and [`Writer`] of the core.

use js_sys::{Array, JsString, Object};
use wasm_bindgen::prelude::{JsCast, JsValue, wasm_bindgen};

use super::host::Host;
use crate::proto::wire::{Name, Reader, Writer};

#[wasm_bindgen]
extern "C" {
    // js-sys takes a Rust string for both, which would copy each message into wasm memory and out again.
    #[wasm_bindgen(js_namespace = JSON, js_name = parse, catch)]
    pub(super) fn parse(text: &JsString) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = JSON, js_name = stringify, catch)]
    pub(super) fn stringify(value: &JsValue) -> Result<JsString, JsValue>;
    // What JSON.parse made has no getters that could throw.
    #[wasm_bindgen(js_namespace = Reflect, js_name = get)]
    fn member(object: &JsValue, key: &JsString) -> JsValue;
    #[wasm_bindgen(js_namespace = Reflect, js_name = set)]
    fn set_member(object: &JsValue, key: &JsString, value: &JsValue) -> bool;

    /// The members of a frame of events, read by plain property access: the one hot path.
    type Frame;
    #[wasm_bindgen(method, getter, structural, js_name = type)]
    fn kind(this: &Frame) -> JsValue;
    #[wasm_bindgen(method, getter, structural)]
    fn ch(this: &Frame) -> JsValue;
    #[wasm_bindgen(method, getter, structural)]
    fn first(this: &Frame) -> JsValue;
    #[wasm_bindgen(method, getter, structural)]
    fn count(this: &Frame) -> JsValue;
    #[wasm_bindgen(method, getter, structural)]
    fn events(this: &Frame) -> JsValue;
}

thread_local! {
    /// Each name as a JavaScript string, made once.
    static KEYS: Vec<JsString> = Name::ALL.iter().map(|name| JsString::from(name.as_str())).collect();
}

/// A value that `JSON.parse` made.
pub(super) struct Parsed<'a>(pub(super) JsValue, pub(super) &'a Host);

impl Parsed<'_> {
    const fn with(&self, value: JsValue) -> Self {
        Self(value, self.1)
    }
}

impl Reader for Parsed<'_> {
    fn get(&self, name: Name) -> Option<Self> {
        if !self.0.is_object() {
            return None;
        }
        let frame = self.0.unchecked_ref::<Frame>();
        let value = match name {
            Name::Type => frame.kind(),
            Name::Ch => frame.ch(),
            Name::First => frame.first(),
            Name::Count => frame.count(),
            Name::Events => frame.events(),
            _ => KEYS.with(|keys| member(&self.0, &keys[name as usize])),
        };
        (!value.is_undefined()).then(|| self.with(value))
    }

    fn number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    fn text(&self) -> Option<String> {
        self.0.as_string()
    }

    fn boolean(&self) -> Option<bool> {
        self.0.as_bool()
    }

    fn is(&self, name: Name) -> bool {
        KEYS.with(|keys| self.0 == **keys[name as usize])
    }

    fn is_object(&self) -> bool {
        self.0.is_object() && !Array::is_array(&self.0)
    }

    fn length(&self) -> Option<usize> {
        Array::is_array(&self.0).then(|| self.0.unchecked_ref::<Array>().length() as usize)
    }

    fn item(&self, index: usize) -> Option<Self> {
        let list = Array::is_array(&self.0).then(|| self.0.unchecked_ref::<Array>())?;
        let index = u32::try_from(index).ok().filter(|&index| index < list.length())?;
        Some(self.with(list.get(index)))
    }

    fn members(&self) -> Vec<(String, Self)> {
        if !self.is_object() {
            return Vec::new();
        }
        Object::keys(self.0.unchecked_ref::<Object>())
            .iter()
            .filter_map(|key| {
                let value = member(&self.0, key.unchecked_ref());
                Some((key.as_string()?, self.with(value)))
            })
            .collect()
    }

    fn well_formed(&self) -> bool {
        self.1.well_formed(&self.0).unwrap_or(false)
    }
}

/// A value that becomes a frame of ours.
pub(super) struct Built(pub(super) JsValue);

impl Writer for Built {
    fn object() -> Self {
        Self(Object::new().into())
    }

    fn list() -> Self {
        Self(Array::new().into())
    }

    fn from_text(text: &str) -> Self {
        Self(JsValue::from_str(text))
    }

    fn from_number(number: f64) -> Self {
        Self(JsValue::from_f64(number))
    }

    fn set(&mut self, name: &str, value: Self) {
        set_member(&self.0, &JsString::from(name), &value.0);
    }

    fn push(&mut self, value: Self) {
        self.0.unchecked_ref::<Array>().push(&value.0);
    }

    fn merge(&mut self, other: &Self) {
        for key in Object::keys(other.0.unchecked_ref::<Object>()).iter() {
            let key = key.unchecked_ref::<JsString>();
            if member(&self.0, key).is_undefined() {
                set_member(&self.0, key, &member(&other.0, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::proto::wire::decode;

    #[wasm_bindgen(inline_js = r#"
    const typed = (value) => typeof value === "object" && value !== null && !Array.isArray(value) && typeof value.type === "string";
    export class PlainHost {
        wellFormed(frame) {
            if (frame.type === "events") return frame.events.every(typed);
            return typed(frame.head) && !("time" in frame.head) && !("text" in frame.head)
                && frame.times.every((time) => Number.isSafeInteger(time) && time >= 0) && frame.texts.every((text) => typeof text === "string");
        }
    }
    "#)]
    extern "C" {
        type PlainHost;
        #[wasm_bindgen(constructor)]
        fn new() -> PlainHost;
    }

    /// The vectors again, through `JSON.parse`: what is fuzzed natively is what ships.
    #[wasm_bindgen_test]
    fn every_server_frame_is_read_or_refused_as_the_vectors_say() {
        let host = PlainHost::new().unchecked_into::<Host>();
        let vectors = parse(&include_str!("../../tests/vectors/protocol.json").into()).ok();
        let vectors = Parsed(vectors.expect("the vectors are JSON"), &host);
        let cases = vectors.with(member(&vectors.0, &"server_frames".into()));
        let count = cases.length().expect("a list");
        assert!(count > 100);
        for index in 0..count {
            let case = cases.item(index).expect("in range");
            let text_of = |name: &str| member(&case.0, &name.into()).as_string();
            let (name, text) = (text_of("name").expect("a name"), text_of("text").expect("a text"));
            let frame = parse(&JsString::from(text.as_str())).map(|value| decode(&Parsed(value, &host)));
            match (text_of("error"), frame) {
                (Some(field), Ok(Err(error))) => {
                    assert!(field == "any" || error.field.as_str() == field, "{name}: {error}")
                }
                (Some(field), Err(_)) => assert_eq!(field, "any", "{name}"),
                (None, Ok(Ok(_))) => {}
                (expected, frame) => panic!("{name}: expected {expected:?}, got {frame:?}"),
            }
        }
    }
}
