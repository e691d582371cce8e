//! Defects that are put into the effects of the rules on purpose are found, each by the invariant that it breaks.

use haithe_simulation::{Plan, defect::Defect, run, shrink};

/// Seeds that are tried for a defect.
const SEEDS: u64 = 100;

/// The first seed whose history shows the defect, and the invariant that it breaks.
fn find(defect: Defect) -> Option<(u64, &'static str)> {
    (0..SEEDS).find_map(|seed| {
        let violation = run(&Plan::of(seed), Some(defect), false).violation?;
        Some((seed, violation.invariant))
    })
}

#[test]
fn every_defect_is_found() {
    for defect in Defect::ALL {
        let Some((seed, invariant)) = find(defect) else {
            panic!("{defect:?} is not found in {SEEDS} histories");
        };
        println!("{defect:?}: seed {seed} breaks \"{invariant}\"");
    }
}

#[test]
fn a_failing_history_is_shrunk_to_the_steps_that_matter() {
    let defect = Defect::HoldsUnseen;
    let (seed, invariant) = find(defect).expect("the defect is found");
    let shrunk = shrink(&Plan::of(seed), Some(defect)).expect("it fails");
    println!("{shrunk}");
    let violation = shrunk
        .outcome
        .violation
        .as_ref()
        .expect("the short history fails, too");
    assert_eq!(violation.invariant, invariant);
    assert!(
        shrunk.plan.steps.len() <= 6,
        "{} steps are left",
        shrunk.plan.steps.len()
    );
    let again = run(&shrunk.plan, Some(defect), true);
    assert_eq!(again.log, shrunk.outcome.log, "the short history repeats");
}
