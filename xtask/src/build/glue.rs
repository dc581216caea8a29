//! Changes to the glue that wasm-bindgen makes, so that the package can be imported everywhere.
//!
//! The glue makes a `TextDecoder` and a `TextEncoder` while it is imported; where they are absent, as in Jest's jsdom,
//! the import throws. Here they are made when they are needed first. The text of the glue may change with each version
//! of wasm-bindgen, so each change must find exactly what it expects.

use anyhow::{Result, bail};

/// What stands once in the glue, and what takes its place.
const CHANGES: [(&str, &str); 3] = [
    (
        "let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });\ncachedTextDecoder.decode();\n",
        "let cachedTextDecoder;\n",
    ),
    (
        "    if (numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {\n        cachedTextDecoder = new TextDecoder(",
        "    if (cachedTextDecoder === undefined || numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {\n        cachedTextDecoder = new TextDecoder(",
    ),
    ("const cachedTextEncoder = new TextEncoder();\n", "let cachedTextEncoder;\n"),
];

/// Each use of the encoder, and the same for one that may not be there yet.
const ENCODE: (&str, &str) = ("cachedTextEncoder.encode", "(cachedTextEncoder ??= new TextEncoder()).encode");

/// What no part of the glue may hold: with it, bundlers add the .wasm file also to what imports `agentwire/inline`.
const OWN_ADDRESS: &str = "import.meta";

/// Makes the glue touch nothing while it is imported.
///
/// # Errors
/// When the glue is not as it is known.
pub(super) fn made_lazy(glue: &str) -> Result<String> {
    let mut text = glue.to_owned();
    for (expected, change) in CHANGES {
        match text.matches(expected).count() {
            1 => text = text.replacen(expected, change, 1),
            found => bail!("{}", unknown(&format!("it has {found} times, not once:\n{expected}"))),
        }
    }
    text = text.replace(ENCODE.0, ENCODE.1);
    // A line at the margin runs while the module is imported, unless it begins a function.
    if let Some(line) = text.lines().find(|line| {
        !line.starts_with(' ') && (line.contains("TextDecoder(") || line.contains("TextEncoder("))
    }) {
        bail!("{}", unknown(&format!("it still makes a coder while it is imported:\n{line}")));
    }
    // Each use that is left is one of the changes above.
    let uses = text.matches("cachedTextEncoder").count();
    let known = 1 + text.matches(ENCODE.1).count();
    if uses != known {
        bail!("{}", unknown("it uses the encoder in a way that is not known"));
    }
    if text.contains(OWN_ADDRESS) {
        bail!("{}", unknown(&format!("it has {OWN_ADDRESS}, which makes bundlers add the .wasm file")));
    }
    Ok(text)
}

fn unknown(what: &str) -> String {
    format!(
        "the glue is not as xtask/src/build/glue.rs knows it: {what}\nlook at the new glue and bring CHANGES up to date"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a real glue that matter here.
    const GLUE: &str = "\
function passStringToWasm0(arg, malloc, realloc) {
        const buf = cachedTextEncoder.encode(arg);
        const ret = cachedTextEncoder.encodeInto(arg, view);
}

let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
cachedTextDecoder.decode();
const MAX_SAFARI_DECODE_BYTES = 2146435072;
let numBytesDecoded = 0;
function decodeText(bytes) {
    numBytesDecoded += bytes.length;
    if (numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {
        cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
        cachedTextDecoder.decode();
        numBytesDecoded = bytes.length;
    }
    return cachedTextDecoder.decode(bytes);
}

const cachedTextEncoder = new TextEncoder();

let WASM_VECTOR_LEN = 0;
";

    #[test]
    fn f2_the_known_glue_makes_its_coders_when_they_are_needed() {
        let text = made_lazy(GLUE).unwrap();
        for made in [
            "\nlet cachedTextDecoder;\nconst MAX_SAFARI_DECODE_BYTES",
            "\nlet cachedTextEncoder;\n\nlet WASM_VECTOR_LEN",
            "    if (cachedTextDecoder === undefined || numBytesDecoded >= MAX",
            "const buf = (cachedTextEncoder ??= new TextEncoder()).encode(arg);",
            "const ret = (cachedTextEncoder ??= new TextEncoder()).encodeInto(arg, view);",
        ] {
            assert!(text.contains(made), "{made} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_glue_that_changed_is_refused() {
        let refused = |glue: &str| made_lazy(glue).unwrap_err().to_string();
        assert!(refused(&GLUE.replace("utf-8", "utf8")).contains("it has 0 times"));
        assert!(refused(&format!("{GLUE}{GLUE}")).contains("it has 2 times"));
        let polyfill = format!("{GLUE}if (!('encodeInto' in cachedTextEncoder)) {{}}\n");
        assert!(refused(&polyfill).contains("in a way that is not known"));
        let another = format!("{GLUE}const other = new TextDecoder();\n");
        assert!(refused(&another).contains("still makes a coder"));
    }

    #[test]
    fn f3_a_glue_with_an_address_of_its_own_is_refused() {
        let glue = format!("{GLUE}\n    new URL('agentwire_bg.wasm', import.meta.url);\n");
        assert!(made_lazy(&glue).unwrap_err().to_string().contains("add the .wasm file"));
    }
}
