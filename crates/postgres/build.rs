//! Rebuilds the crate when a migration file is added: `sqlx::migrate!` cannot see new files by itself.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/postgres");
}
