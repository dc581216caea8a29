//! What is inside a WebAssembly module: where its imports come from, and what its functions are called.

use std::collections::BTreeSet;

use anyhow::Result;
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// The only module that a shipped module may import from: its own glue.
const GLUE: &str = xtask::build::GLUE_MODULE;

/// What must not be in what a page loads. `JSON.parse` is in every browser already.
const FORBIDDEN: &str = "serde_json";

/// What was found in a module.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// The modules that are imported from.
    imports: BTreeSet<String>,
    /// Names of functions with [`FORBIDDEN`] in them.
    names: BTreeSet<String>,
    /// Whether the module has names at all.
    has_names: bool,
    /// Whether [`FORBIDDEN`] stands anywhere in its bytes.
    mentions: bool,
}

/// Reads a module.
pub(crate) fn inspect(bytes: &[u8]) -> Result<Inspection> {
    let mut found = Inspection {
        mentions: bytes.windows(FORBIDDEN.len()).any(|window| window == FORBIDDEN.as_bytes()),
        ..Inspection::default()
    };
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    found.imports.insert(import?.module.to_owned());
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    for name in names {
                        if let Name::Function(functions) = name? {
                            for function in functions {
                                found.has_names = true;
                                let name = function?.name;
                                if name.contains(FORBIDDEN) {
                                    found.names.insert(name.to_owned());
                                }
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The sections of a module, each with its bytes.
pub(crate) fn sections(bytes: &[u8]) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        let name = match id {
            0 => "custom",
            1 => "types",
            2 => "imports",
            3 => "functions",
            4 => "tables",
            5 => "memory",
            6 => "globals",
            7 => "exports",
            9 => "elements",
            10 => "code",
            11 => "data",
            _ => continue,
        };
        found.push((name.to_owned(), range.end - range.start));
    }
    found.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(found)
}

impl Inspection {
    /// What is in the module and must not be, in words. A module that is not shipped yet must have names, or nothing could
    /// be found; its imports are still those of wasm-bindgen's own format.
    pub(crate) fn forbidden(&self, is_shipped: bool) -> Vec<String> {
        let mut found = Vec::new();
        if is_shipped {
            let foreign: Vec<&str> =
                self.imports.iter().map(String::as_str).filter(|&module| module != GLUE).collect();
            if !foreign.is_empty() {
                found.push(format!("it imports from {}; only its own glue is expected", foreign.join(", ")));
            }
        } else if !self.has_names {
            found.push("it has no names, so nothing can be found in it; don't strip it in cargo".to_owned());
        }
        if let Some(name) = self.names.first() {
            let more = self.names.len();
            found.push(format!(
                "{more} functions of {FORBIDDEN} are in it, such as {name}; the browser parses JSON"
            ));
        } else if self.mentions {
            found.push(format!("the text {FORBIDDEN} is in it; the browser parses JSON"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that imports one function from `module` and calls it `name`, without a name section if that is empty.
    fn wasm(module: &str, name: &str) -> Vec<u8> {
        fn section(id: u8, content: &[u8]) -> Vec<u8> {
            [&[id, u8::try_from(content.len()).unwrap()], content].concat()
        }
        fn text(text: &str) -> Vec<u8> {
            [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
        }
        let types = section(1, &[1, 0x60, 0, 0]);
        let imports = section(2, &[&[1][..], &text(module), &text("f"), &[0, 0]].concat());
        let mut bytes = [b"\0asm\x01\0\0\0".as_slice(), &types, &imports].concat();
        if !name.is_empty() {
            let functions = section(1, &[&[1, 0][..], &text(name)].concat());
            bytes.extend(section(0, &[text("name"), functions].concat()));
        }
        bytes
    }

    fn forbidden(module: &str, name: &str, is_shipped: bool) -> Vec<String> {
        inspect(&wasm(module, name)).unwrap().forbidden(is_shipped)
    }

    #[test]
    fn a_clean_module_passes() {
        assert!(forbidden(GLUE, "agentwire::core::step", true).is_empty());
        assert!(forbidden("__wbindgen_placeholder__", "agentwire::core::step", false).is_empty());
    }

    #[test]
    fn serde_json_is_found_by_name_and_in_any_bytes() {
        let named = forbidden(GLUE, "<serde_json::Value as Clone>::clone", false);
        assert_eq!(named.len(), 1);
        assert!(
            named[0].starts_with("1 functions of serde_json are in it, such as <serde_json::Value"),
            "{}",
            named[0]
        );
        let mentioned = forbidden("serde_json", "", true);
        assert!(mentioned.iter().any(|found| found.starts_with("the text serde_json")), "{mentioned:?}");
    }

    #[test]
    fn a_foreign_import_is_found_in_a_shipped_module() {
        let found = forbidden("env", "f", true);
        assert_eq!(found, ["it imports from env; only its own glue is expected"]);
    }

    #[test]
    fn a_module_without_names_proves_nothing() {
        assert_eq!(forbidden(GLUE, "", false).len(), 1);
        assert!(forbidden(GLUE, "", true).is_empty());
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        assert!(inspect(b"not a module").is_err());
    }
}
