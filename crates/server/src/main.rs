//! The program `haithe`. Everything is in the library; this chooses the allocator and the exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    haithe_server::cli::run()
}
