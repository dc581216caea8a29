//! What a first start needs; becomes `xtask-checks` for the rest.

fn main() -> std::process::ExitCode {
    xtask::main()
}
