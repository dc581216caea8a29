//! Changes to the glue that wasm-bindgen makes, so that the package can be imported everywhere.
//!
//! The glue makes a `TextDecoder` while it is imported; where there is none, as in Jest's jsdom, the import throws. Here it is
//! made when it is needed first. The text of the glue may change with each version
//! of wasm-bindgen, so each change must find exactly what it expects.

use anyhow::{Result, bail};

/// What stands once in the glue, and what takes its place.
const CHANGES: [(&str, &str); 9] = [
    // Texts come out of wasm only with a trap: one decoder for each is enough.
    (
        "let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });\ncachedTextDecoder.decode();\n",
        "",
    ),
    (
        "    numBytesDecoded += bytes.length;
    if (numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {
        cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
        cachedTextDecoder.decode();
        numBytesDecoded = bytes.length;
    }
    return cachedTextDecoder.decode(bytes);
",
        "    return new TextDecoder().decode(bytes);\n",
    ),
    ("const MAX_SAFARI_DECODE_BYTES = 2146435072;\nlet numBytesDecoded = 0;\n", ""),
    ("    if (typeof numBytesDecoded !== 'undefined') numBytesDecoded = 0;\n", ""),
    // The package frees what it makes; nothing waits for a collector.
    (
        "const RawClientFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(({ ptr, instance }) => {
    if (instance === __wbg_instance_id) wasm.__wbg_rawclient_free(ptr, 1);
});
",
        "",
    ),
    (
        "const CLOSURE_DTORS = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(state => {
    if (state.instance === __wbg_instance_id) {
        wasm.__wbindgen_destroy_closure(state.a, state.b);
    }
});
",
        "",
    ),
    ("if (Symbol.dispose) RawClient.prototype[Symbol.dispose] = RawClient.prototype.free;\n", ""),
    // The package calls it as it is meant to be called.
    (
        "
    if (module !== undefined) {
        if (Object.getPrototypeOf(module) === Object.prototype) {
            ({module} = module)
        } else {
            console.warn('using deprecated parameters for `initSync()`; pass a single object instead')
        }
    }
",
        "    ({module} = module)\n",
    ),
    // Nothing ever schedules what this looks for.
    (
        "function __wbg_call_guard() {
    if (__wbg_reinit_scheduled) {
        __wbg_reset_state();
        return;
    }
}
",
        "",
    ),
];

/// Each line that uses what is taken out above.
const USES: [&str; 3] = ["__wbg_call_guard();", "RawClientFinalization.", "CLOSURE_DTORS."];

/// What the glue has only when a text goes into wasm: numbers go in, and nothing else.
const ENCODER: &str = "TextEncoder";

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
    let is_left = |line: &&str| !USES.iter().any(|used| line.trim_start().starts_with(used));
    text = text.lines().filter(is_left).map(|line| format!("{line}\n")).collect();
    // A line at the margin runs while the module is imported, unless it begins a function.
    if let Some(line) = text.lines().find(|line| !line.starts_with(' ') && line.contains("TextDecoder(")) {
        bail!("{}", unknown(&format!("it still makes a decoder while it is imported:\n{line}")));
    }
    if text.contains(ENCODER) {
        bail!(
            "{}",
            unknown("it has a TextEncoder, so a text goes into wasm; give its number (src/proto/text.rs)")
        );
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
export class RawClient {
    __destroy_into_raw() {
        RawClientFinalization.unregister(this);
    }
    close() {
        __wbg_call_guard();
        wasm.rawclient_close(this.__wbg_ptr);
    }
}
const RawClientFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(({ ptr, instance }) => {
    if (instance === __wbg_instance_id) wasm.__wbg_rawclient_free(ptr, 1);
});
const CLOSURE_DTORS = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(state => {
    if (state.instance === __wbg_instance_id) {
        wasm.__wbindgen_destroy_closure(state.a, state.b);
    }
});
if (Symbol.dispose) RawClient.prototype[Symbol.dispose] = RawClient.prototype.free;
function initSync(module) {

    if (module !== undefined) {
        if (Object.getPrototypeOf(module) === Object.prototype) {
            ({module} = module)
        } else {
            console.warn('using deprecated parameters for `initSync()`; pass a single object instead')
        }
    }
}
function makeClosure(real, state) {
    CLOSURE_DTORS.register(real, state, state);
}
export function __wbg_reset_state () {
    if (typeof numBytesDecoded !== 'undefined') numBytesDecoded = 0;
}
function __wbg_call_guard() {
    if (__wbg_reinit_scheduled) {
        __wbg_reset_state();
        return;
    }
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
";

    #[test]
    fn f2_the_known_glue_makes_its_decoder_when_it_is_needed() {
        let text = made_lazy(GLUE).unwrap();
        assert!(
            text.contains("function decodeText(bytes) {\n    return new TextDecoder().decode(bytes);\n}"),
            "{text}"
        );
        for gone in
            ["cachedTextDecoder", "numBytesDecoded", "__wbg_call_guard", "Finalization", "CLOSURE_DTORS"]
        {
            assert!(!text.contains(gone), "{gone} is left in:\n{text}");
        }
    }

    #[test]
    fn a_glue_that_changed_is_refused() {
        let refused = |glue: &str| made_lazy(glue).unwrap_err().to_string();
        assert!(refused(&GLUE.replace("utf-8", "utf8")).contains("it has 0 times"));
        assert!(refused(&format!("{GLUE}{GLUE}")).contains("it has 2 times"));
        let encoder = format!("{GLUE}    cachedTextEncoder = new TextEncoder();\n");
        assert!(refused(&encoder).contains("a text goes into wasm"));
        let another = format!("{GLUE}const other = new TextDecoder();\n");
        assert!(refused(&another).contains("still makes a decoder"));
    }

    #[test]
    fn f3_a_glue_with_an_address_of_its_own_is_refused() {
        let glue = format!("{GLUE}\n    new URL('agentwire_bg.wasm', import.meta.url);\n");
        assert!(made_lazy(&glue).unwrap_err().to_string().contains("add the .wasm file"));
    }
}
