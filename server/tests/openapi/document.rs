//! The OpenAPI document, and what it says about a request or an answer.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The document. Objects whose fields it lists have no others here: what the server adds has to be written into it.
pub(crate) struct Document(Value);

impl Document {
    pub(crate) fn read() -> Self {
        let mut document = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        close(&mut document);
        Self(document)
    }

    pub(crate) fn version(&self) -> &str {
        self.0["info"]["version"].as_str().unwrap()
    }

    /// Paths and methods.
    pub(crate) fn operations(&self) -> BTreeSet<(String, String)> {
        self.paths()
            .flat_map(|(path, item)| methods(item).map(|(method, _)| (path.clone(), method.clone())))
            .collect()
    }

    /// Statuses and codes of all errors of all operations.
    pub(crate) fn codes(&self) -> BTreeSet<(u16, String)> {
        let mut codes = BTreeSet::new();
        for (_, operation) in self.paths().flat_map(|(_, item)| methods(item)) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let schema = self.resolve(&self.resolve(response)["content"]["application/json"]["schema"]);
                let variants = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
                for code in
                    variants.iter().filter_map(|variant| variant["properties"]["code"]["const"].as_str())
                {
                    codes.insert((status.parse().unwrap(), code.to_owned()));
                }
            }
        }
        codes
    }

    /// What is wrong with the body of an answer.
    pub(crate) fn check_answer(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: &Value,
    ) -> Result<(), String> {
        self.check(&self.answer(method, path, status)?["application/json"]["schema"], body)
    }

    /// What is wrong with a line of an answer of lines.
    pub(crate) fn check_line(&self, method: &str, path: &str, line: &Value) -> Result<(), String> {
        self.check(&self.answer(method, path, 200)?["application/x-ndjson"]["x-itemSchema"], line)
    }

    /// What is wrong with the body of a request.
    pub(crate) fn check_request(&self, method: &str, path: &str, body: &Value) -> Result<(), String> {
        let content = &self.0["paths"][path][method]["requestBody"]["content"];
        self.check(&content["application/json"]["schema"], body)
    }

    fn answer(&self, method: &str, path: &str, status: u16) -> Result<&Value, String> {
        let response = &self.0["paths"][path][method]["responses"][status.to_string()];
        let content = &self.resolve(response)["content"];
        if content.is_object() { Ok(content) } else { Err(format!("{method} {path} has no {status}")) }
    }

    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if !schema.is_object() {
            return Err("there is no schema".to_owned());
        }
        // References are to the components of the document.
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::options().offline().build(&whole).unwrap();
        validator.validate(value).map_err(|error| format!("{error}, in {value}"))
    }

    /// What a reference points to; anything else is itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap()
    }

    fn paths(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0["paths"].as_object().unwrap().iter()
    }
}

fn methods(item: &Value) -> impl Iterator<Item = (&String, &Value)> {
    item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters")
}

/// Forbids fields that a schema does not list, where it does not say whether there can be others.
fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if is_list_of_fields(fields) {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn is_list_of_fields(schema: &Map<String, Value>) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object")
        && schema.contains_key("properties")
        && !schema.contains_key("additionalProperties")
}
