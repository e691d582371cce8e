//! Money under contention and under `kill -9`: never too much spent, nothing lost, nothing doubled.

mod chaos;
mod contention;
mod crashes;
