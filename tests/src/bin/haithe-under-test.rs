//! The program `haithe`, as a binary of this package: so cargo has built it before a suite kills it.

use std::process::ExitCode;

fn main() -> ExitCode {
    haithe_server::cli::run()
}
