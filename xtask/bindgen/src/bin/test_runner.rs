//! `wasm-bindgen-test-runner`, from the version this workspace is pinned to.

fn main() -> anyhow::Result<()> {
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os())
}
