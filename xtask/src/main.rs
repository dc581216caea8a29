//! What a first start needs; becomes the proof for the rest.

fn main() -> std::process::ExitCode {
    xtask::cli::main()
}
