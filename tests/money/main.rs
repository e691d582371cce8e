//! Money under contention and under `kill -9`: never too much spent, nothing lost, nothing doubled.

mod chaos;
mod contention;
mod crashes;

/// Where random sequences begin. `HAITHE_SEED` tries others, and repeats one that failed.
fn seed() -> u64 {
    let seed = std::env::var("HAITHE_SEED").ok();
    seed.map_or(0, |seed| seed.parse().expect("HAITHE_SEED is a number"))
}
