//! New migration files must reach `sqlx::migrate!`, which cannot see them by itself.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/sqlite");
}
