//! Short names for what the module and its glue call each other by. wasm-bindgen's own are up to 150 bytes long, are never seen by
//! anybody, and no minifier touches them, because they stand in two files.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{ExportSection, ImportSection, Module, RawSection};
use wasmparser::{Parser, Payload};

/// The module that all imports come from, after the change.
pub const GLUE_MODULE: &str = "a";

/// What wasm-bindgen calls it.
const LONG_GLUE_MODULE: &str = "./agentwire_bg.js";

/// Gives every import and export of `module` a short name, in it and in the text of its glue.
pub(super) fn shortened(module: &[u8], glue: &str) -> Result<(Vec<u8>, String)> {
    let (mut imports, mut exports) = (Renamed::default(), Renamed::default());
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(section) => {
                let mut written = ImportSection::new();
                for import in section.into_imports() {
                    let import = import?;
                    if import.module != LONG_GLUE_MODULE {
                        bail!(
                            "the module imports from {:?}; only {LONG_GLUE_MODULE:?} is known",
                            import.module
                        );
                    }
                    written.import(
                        GLUE_MODULE,
                        imports.short(import.name),
                        RoundtripReencoder.entity_type(import.ty)?,
                    );
                }
                out.section(&written);
            }
            Payload::ExportSection(section) => {
                let mut written = ExportSection::new();
                for export in section {
                    let export = export?;
                    let kind = RoundtripReencoder.export_kind(export.kind)?;
                    written.export(exports.short(export.name), kind, export.index);
                }
                out.section(&written);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
                    out.section(&RawSection { id, data: &module[range] });
                }
            }
        }
    }
    Ok((out.finish(), with_exports(&with_imports(glue, &imports)?, &exports)?))
}

/// What tools and tests look for keeps its name.
const MEMORY: &str = "memory";

/// Long names, each with its short one.
#[derive(Debug, Default)]
struct Renamed(BTreeMap<String, String>);

impl Renamed {
    fn short(&mut self, long: &str) -> &str {
        let count = self.0.len();
        let short = || if long == MEMORY { MEMORY.to_owned() } else { short_name(count) };
        self.0.entry(long.to_owned()).or_insert_with(short)
    }
}

/// `a` … `z`, `aa`, `ab`, …: members of objects, which may also be words of the language.
fn short_name(mut number: usize) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
        if number < 26 {
            return name;
        }
        number = number / 26 - 1;
    }
}

/// The glue has each import as a member of one object, `        name: function(`, and names the module once.
fn with_imports(glue: &str, names: &Renamed) -> Result<String> {
    let mut renamed = 0;
    let mut out = String::with_capacity(glue.len());
    for line in glue.split_inclusive('\n') {
        let member = line.strip_prefix("        ").and_then(|member| member.split_once(": function("));
        if let Some((short, body)) = member.and_then(|(name, body)| Some((names.0.get(name)?, body))) {
            renamed += 1;
            out.push_str("        ");
            out.push_str(short);
            out.push_str(": function(");
            out.push_str(body);
        } else {
            out.push_str(line);
        }
    }
    if renamed != names.0.len() {
        bail!("the glue has {renamed} of {} imports where they are known to be", names.0.len());
    }
    Ok(out.replace(LONG_GLUE_MODULE, GLUE_MODULE))
}

/// The glue has each export as a member of its variable `wasm`.
fn with_exports(glue: &str, names: &Renamed) -> Result<String> {
    const VARIABLE: &str = "wasm.";
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut out = String::with_capacity(glue.len());
    let mut rest = glue;
    while let Some(at) = rest.find(VARIABLE) {
        // Not the end of another name or of a path.
        let before = rest[..at].chars().next_back();
        let is_variable = !before.is_some_and(|letter| is_of_a_name(letter) || "-./".contains(letter));
        let (head, tail) = rest.split_at(at + VARIABLE.len());
        let (member, tail) = tail.split_at(tail.find(|letter| !is_of_a_name(letter)).unwrap_or(tail.len()));
        out.push_str(head);
        out.push_str(match names.0.get(member) {
            Some(short) if is_variable => short,
            None if is_variable => bail!("the glue uses wasm.{member}, which is no export"),
            _ => member,
        });
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that imports `name` from the glue, and exports its memory and the import.
    fn module(name: &str) -> Vec<u8> {
        let mut types = wasm_encoder::TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import(LONG_GLUE_MODULE, name, wasm_encoder::EntityType::Function(0));
        let mut memories = wasm_encoder::MemorySection::new();
        memories.memory(wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut exports = ExportSection::new();
        exports.export("memory", wasm_encoder::ExportKind::Memory, 0);
        exports.export("run_it", wasm_encoder::ExportKind::Func, 0);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&memories).section(&exports);
        module.finish()
    }

    const GLUE: &str = "\
export function run() { wasm.run_it(); return wasm.memory.buffer; }
function imports() {
    const import0 = {
        __proto__: null,
        __wbg_say_1f2e: function(arg0) { return 'see agentwire_wasm.md'; },
    };
    return {
        \"./agentwire_bg.js\": import0,
    };
}
";

    #[test]
    fn the_module_and_the_glue_get_the_same_short_names() {
        let (bytes, glue) = shortened(&module("__wbg_say_1f2e"), GLUE).unwrap();
        assert!(glue.contains("wasm.b(); return wasm.memory.buffer;"), "{glue}");
        assert!(glue.contains("        a: function(arg0)") && glue.contains("\"a\": import0"), "{glue}");
        let mut seen = Vec::new();
        for payload in Parser::new(0).parse_all(&bytes) {
            match payload.unwrap() {
                Payload::ImportSection(section) => {
                    seen.extend(section.into_imports().map(|import| import.unwrap().name.to_owned()));
                }
                Payload::ExportSection(section) => {
                    seen.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
                }
                _ => {}
            }
        }
        assert_eq!(seen, ["a", "memory", "b"]);
    }

    #[test]
    fn a_glue_that_changed_is_refused() {
        let refused = |name: &str, glue: &str| shortened(&module(name), glue).unwrap_err().to_string();
        assert!(refused("__wbg_other", GLUE).contains("0 of 1 imports"));
        let glue = GLUE.replace("wasm.run_it", "wasm.walk");
        assert!(refused("__wbg_say_1f2e", &glue).contains("wasm.walk, which is no export"));
    }

    #[test]
    fn names_are_short_and_all_different() {
        assert_eq!([0, 25, 26, 701, 702].map(short_name), ["a", "z", "aa", "zz", "aaa"]);
    }
}
