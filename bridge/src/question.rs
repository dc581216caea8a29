//! What a run asks of a person, and which answers fit it.

use std::sync::Arc;

use agentwire_events::Invalid;
use jsonschema::PatternOptions;
use serde_json::{Map, Value};

use crate::event::EventError;
use crate::fingerprint::fingerprint;
use crate::log::Terms;

/// Largest JSON Schema of an approval, in bytes of its JSON.
const MAX_SCHEMA_BYTES: usize = 65_536;

/// Largest compiled pattern of a schema, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// The answer of a page to an approval (SND-8).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) is_approved: bool,
    pub(crate) payload: Option<Value>,
    pub(crate) edited_args: Option<Value>,
    pub(crate) reason: Option<String>,
    pub(crate) args_hash: Option<String>,
}

impl Given {
    /// Bytes of what a person can write.
    pub(crate) fn bytes(&self) -> usize {
        let values = [&self.payload, &self.edited_args].into_iter().flatten();
        values.map(|value| value.to_string().len()).sum::<usize>()
            + self.reason.as_ref().map_or(0, String::len)
    }
}

/// Checks what an `approval_requested` refers to, beyond the types of its fields, and returns what its answers are bound to. Sets `argsHash` when there are
/// `args` and no hash of them.
pub(crate) fn terms_of(fields: &mut Map<String, Value>) -> Result<Terms, EventError> {
    let is_editable = fields.get("editable") == Some(&Value::Bool(true));
    let expires_at_ms = fields.get("expiresAt").and_then(Value::as_u64);
    if let Some(schema) = fields.get("schema")
        && (schema.to_string().len() > MAX_SCHEMA_BYTES || compile(schema).is_none())
    {
        let expected = "a JSON Schema of at most 65,536 bytes that refers to nothing outside of itself";
        return Err(Invalid::new("approval_requested", "schema", expected).into());
    }
    let given = fields.get("argsHash").and_then(Value::as_str).map(Arc::from);
    let args_hash: Option<Arc<str>> =
        given.or_else(|| fields.get("args").map(|args| fingerprint("args", args)));
    if let Some(hash) = &args_hash {
        fields.insert("argsHash".to_owned(), (**hash).into());
    }
    let has_schema = fields.contains_key("schema");
    Ok(Terms { offset: 0, has_schema, is_editable, args_hash, expires_at_ms })
}

/// Checks an answer; the error says what is wrong and quotes nothing of it. `schema` is that of the question, if it has one
/// that the answer needs ([`needs_schema`]).
pub(crate) fn check(given: &Given, terms: &Terms, schema: Option<&Value>) -> Result<(), String> {
    if given.args_hash.as_deref().is_some_and(|hash| terms.args_hash.as_deref() != Some(hash)) {
        return Err(
            "`argsHash` is not that of the question: its arguments are not those that were shown".to_owned()
        );
    }
    if !given.is_approved && (given.payload.is_some() || given.edited_args.is_some()) {
        return Err("`payload` and `editedArgs` go with `approved` only; say why not in `reason`".to_owned());
    }
    if given.edited_args.is_some() && !terms.is_editable {
        return Err("the question does not let its arguments be edited".to_owned());
    }
    let Some(schema) = schema else { return Ok(()) };
    let (field, value) = match terms.is_editable {
        true => ("editedArgs", given.edited_args.as_ref()),
        false => ("payload", given.payload.as_ref()),
    };
    let Some(value) = value else {
        return Err("the question has a `schema`, so it needs a `payload`".to_owned());
    };
    // It compiled when the question was published.
    let validator =
        compile(schema).ok_or_else(|| "the `schema` of the question cannot be used".to_owned())?;
    validator.validate(value).map_err(|error| {
        let path = error.instance_path().to_string();
        let text = format!("`{field}` does not fit the schema at \"{path}\": {}", error.masked());
        text.chars().take(512).collect()
    })
}

/// Whether the schema of the question decides about an answer.
pub(crate) fn needs_schema(given: &Given, terms: &Terms) -> bool {
    terms.has_schema && given.is_approved && (!terms.is_editable || given.edited_args.is_some())
}

/// `None` for what is no schema, or refers to another document: nothing is fetched. Patterns are of the kind that takes
/// linear time.
fn compile(schema: &Value) -> Option<jsonschema::Validator> {
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES);
    jsonschema::options().offline().with_pattern_options(patterns).build(schema).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn terms(question: Value) -> Result<Terms, EventError> {
        let Value::Object(mut fields) = question else { unreachable!() };
        terms_of(&mut fields)
    }

    fn answer(given: Value, question: Value) -> Result<(), String> {
        let field = |name: &str| given.get(name).cloned();
        let text = |name: &str| field(name).and_then(|text| text.as_str().map(str::to_owned));
        let given = Given {
            is_approved: given["decision"] == "approved",
            payload: field("payload"),
            edited_args: field("editedArgs"),
            reason: text("reason"),
            args_hash: text("argsHash"),
        };
        let terms = terms(question.clone()).unwrap();
        check(&given, &terms, question.get("schema").filter(|_| needs_schema(&given, &terms)))
    }

    // PROTOCOL: SND-12
    #[test]
    fn a_schema_is_small_and_refers_to_nothing_outside() {
        let within = json!({"$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}}});
        assert!(terms(json!({"schema": within})).unwrap().has_schema);
        for schema in [
            json!({"$ref": "https://example.com/other.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "other.json#/a"}),
            json!({"type": "nothing"}),
            json!({"pattern": "("}),
            json!({"pattern": "(a{1000}){1000}"}),
            json!("text"),
            json!({"description": "x".repeat(65_536)}),
        ] {
            let error = terms(json!({"schema": schema})).unwrap_err();
            assert!(
                matches!(error, EventError::Invalid(ref invalid) if invalid.field == "schema"),
                "{schema}"
            );
        }
    }

    // PROTOCOL: SND-12
    #[test]
    fn an_answer_fits_its_question_or_is_refused_with_the_reason() {
        let form = json!({"schema": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}});
        let edit = json!({"schema": form["schema"], "editable": true, "args": {"n": 1}});
        let approved = |more: Value| {
            let mut given = more;
            given["decision"] = json!("approved");
            given
        };
        let hash = terms(edit.clone()).unwrap().args_hash.unwrap();
        for (given, question, fits) in [
            (approved(json!({})), json!({}), true),
            (approved(json!({"payload": [1]})), json!({}), true),
            (approved(json!({"payload": {"n": 1}})), form.clone(), true),
            (approved(json!({"payload": {"n": "secret"}})), form.clone(), false),
            (approved(json!({})), form.clone(), false),
            (approved(json!({"editedArgs": {"n": 1}})), form.clone(), false),
            (approved(json!({"editedArgs": {"n": 2}})), edit.clone(), true),
            (approved(json!({"editedArgs": {"n": "secret"}})), edit.clone(), false),
            (approved(json!({})), edit.clone(), true),
            (approved(json!({"argsHash": &*hash})), edit.clone(), true),
            (approved(json!({"argsHash": "other"})), edit.clone(), false),
            (approved(json!({"argsHash": "other"})), json!({}), false),
            (json!({"decision": "denied", "reason": "no"}), form.clone(), true),
            (json!({"decision": "denied", "payload": {"n": 1}}), form, false),
            (json!({"decision": "denied", "editedArgs": {"n": 1}}), edit, false),
        ] {
            let answered = answer(given.clone(), question.clone());
            assert_eq!(answered.is_ok(), fits, "{given} {question} {answered:?}");
            assert!(!answered.is_err_and(|why| why.contains("secret")), "{given}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let list = json!({"schema": {"type": "object", "properties": {"next": {"$ref": "#"}}}});
        let mut value = json!({});
        for _ in 0..90 {
            value = json!({"next": value});
        }
        assert!(answer(json!({"decision": "approved", "payload": value}), list).is_ok());
        // Useless, but they end too.
        for schema in [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#"}]})] {
            let question = json!({"schema": schema});
            if terms(question.clone()).is_ok() {
                let _ = answer(json!({"decision": "approved", "payload": 1}), question);
            }
        }
    }
}
