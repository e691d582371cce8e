//! The quick form of the simulation: some histories, and the proof that a seed gives one history.

use haithe_simulation::{Plan, run, shrink};
use std::time::Duration;

/// Histories of the quick form.
const HISTORIES: u64 = 80;

#[test]
fn every_invariant_holds_in_every_history() {
    let (mut virtual_time, mut real_time, mut charges, mut batches) = (Duration::ZERO, Duration::ZERO, 0, 0);
    for seed in 0..HISTORIES {
        let plan = Plan::of(seed);
        let outcome = run(&plan, None, false);
        if outcome.violation.is_some() {
            let short =
                shrink(&plan, None).map_or_else(|| format!("{outcome:?}"), |shrunk| shrunk.to_string());
            panic!("{short}");
        }
        virtual_time += outcome.virtual_time;
        real_time += outcome.real_time;
        charges += outcome.charges;
        batches += outcome.batches;
    }
    let speed = virtual_time.as_secs_f64() / real_time.as_secs_f64();
    println!("{HISTORIES} histories, {charges} charges, {batches} batches, {speed:.0} × real time");
    assert!(charges > 10 * HISTORIES, "histories charge calls: {charges}");
    assert!(batches > 5 * HISTORIES, "histories settle batches: {batches}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..12 {
        let plan = Plan::of(seed);
        let (first, second) = (run(&plan, None, false), run(&plan, None, true));
        assert_eq!(
            (first.digest, first.lines),
            (second.digest, second.lines),
            "seed {seed}"
        );
        assert_eq!(second.lines, u64::try_from(second.log.len()).unwrap());
    }
}

#[test]
fn different_seeds_give_different_histories() {
    let digest = |seed| run(&Plan::of(seed), None, false).digest;
    assert_ne!(digest(1), digest(2));
}
