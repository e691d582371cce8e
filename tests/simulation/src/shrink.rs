//! Finds the few steps of a failing plan that matter, and prints them in plain words.

use crate::{
    defect::Defect,
    history::{Outcome, run},
    plan::{Action, Plan, Step},
};
use std::fmt;

/// Histories that are run for one shrinking.
const RUNS: u32 = 600;
/// Lines of the log that are printed.
const LINES: usize = 60;

/// A failing plan of which nothing can be left out.
#[derive(Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What became of it, with its log.
    pub outcome: Outcome,
    /// Steps of the plan that was shrunk.
    pub steps_before: usize,
    /// Histories that were run.
    pub runs: u32,
}

struct Search {
    invariant: &'static str,
    defect: Option<Defect>,
    runs: u32,
}

impl Search {
    fn still_fails(&mut self, plan: &Plan) -> bool {
        if self.runs >= RUNS {
            return false;
        }
        self.runs += 1;
        let violation = run(plan, self.defect, false).violation;
        violation.is_some_and(|violation| violation.invariant == self.invariant)
    }

    /// Leaves steps out: halves first, then smaller and smaller parts.
    fn drop_steps(&mut self, plan: &mut Plan) {
        let mut size = plan.steps.len().div_ceil(2);
        while size > 0 && self.runs < RUNS {
            let (mut at, mut dropped) = (0, false);
            while at < plan.steps.len() {
                let mut shorter = plan.clone();
                shorter.steps.drain(at..(at + size).min(plan.steps.len()));
                if self.still_fails(&shorter) {
                    (*plan, dropped) = (shorter, true);
                } else {
                    at += size;
                }
            }
            if !dropped || size > plan.steps.len() {
                size = if size == 1 {
                    0
                } else {
                    size.div_ceil(2).min(size - 1)
                };
            }
        }
    }

    /// Finds by bisection how many turns have to be in random order.
    fn order_turns(&mut self, plan: &mut Plan, turns: u64) {
        let with = |turns| Plan {
            random_turns: turns,
            ..plan.clone()
        };
        let (mut passes, mut fails) = (0, turns);
        if self.still_fails(&with(0)) {
            plan.random_turns = 0;
            return;
        }
        if !self.still_fails(&with(fails)) {
            return;
        }
        while fails - passes > 1 && self.runs < RUNS {
            let middle = passes + (fails - passes) / 2;
            if self.still_fails(&with(middle)) {
                fails = middle
            } else {
                passes = middle
            }
        }
        plan.random_turns = fails;
    }

    /// Makes calls simpler, and ends the history after its last step.
    fn simplify(&mut self, plan: &mut Plan) {
        for at in 0..plan.steps.len() {
            for simpler in simpler(&plan.steps[at]) {
                let mut candidate = plan.clone();
                candidate.steps[at] = simpler;
                if candidate != *plan && self.still_fails(&candidate) {
                    *plan = candidate;
                }
            }
        }
        let last = plan.steps.last().map_or(0, |step| step.at);
        let mut shorter = plan.clone();
        shorter.setup.seconds = last + 60;
        if self.still_fails(&shorter) {
            *plan = shorter;
        }
    }
}

fn simpler(step: &Step) -> Vec<Step> {
    let Action::Call(call) = &step.action else {
        return Vec::new();
    };
    let mut calls = vec![call.clone(); 4];
    calls[0].leaves_after = None;
    calls[1].repeats = false;
    calls[2].budget = None;
    calls[3].lines.truncate(1);
    calls
        .into_iter()
        .map(|call| Step {
            at: step.at,
            action: Action::Call(call),
        })
        .collect()
}

/// Shrinks a plan that breaks an invariant; `None` when it breaks none.
pub fn shrink(plan: &Plan, defect: Option<Defect>) -> Option<Shrunk> {
    let first = run(plan, defect, false);
    let invariant = first.violation?.invariant;
    let mut search = Search {
        invariant,
        defect,
        runs: 1,
    };
    let mut plan = plan.clone();
    let steps_before = plan.steps.len();
    search.drop_steps(&mut plan);
    search.simplify(&mut plan);
    search.order_turns(&mut plan, first.turns);
    search.drop_steps(&mut plan);
    let outcome = run(&plan, defect, true);
    Some(Shrunk {
        plan,
        outcome,
        steps_before,
        runs: search.runs,
    })
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, outcome, .. } = self;
        if let Some(violation) = &outcome.violation {
            writeln!(
                f,
                "seed {} breaks \"{}\": {}",
                plan.seed, violation.invariant, violation.detail
            )?;
        }
        writeln!(f, "{}", plan.setup)?;
        let order = match plan.random_turns {
            0 => "in the order in which they waited".to_owned(),
            turns => format!("in the order of the seed for {turns} turns"),
        };
        writeln!(
            f,
            "{} of {} steps matter; tasks run {order}:",
            plan.steps.len(),
            self.steps_before
        )?;
        for step in &plan.steps {
            writeln!(f, "  {step}")?;
        }
        let from = outcome.log.len().saturating_sub(LINES);
        writeln!(f, "the last lines of its log (seconds since the start):")?;
        for line in &outcome.log[from..] {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
