//! Makes the glue of the package: `agentwire-bindgen MODULE FOLDER`.

use wasm_bindgen_cli_support::{Bindgen, EncodeInto};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let (Some(module), Some(folder), None) = (args.next(), args.next(), args.next()) else {
        anyhow::bail!("usage: agentwire-bindgen MODULE FOLDER");
    };
    Bindgen::new()
        .input_path(module)
        .out_name("agentwire")
        .web(true)?
        .typescript(true)
        .demangle(true)
        // The package says where the module is; with an address in the glue, bundlers would add the file to everything.
        .omit_default_module_path(true)
        // Every engine that has reference types has `encodeInto`.
        .encode_into(EncodeInto::Always)
        // Lets the package start over with a new instance after a trap.
        .reset_state_function(true)
        .generate(folder)
}
