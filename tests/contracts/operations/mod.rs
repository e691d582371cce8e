//! People do anything in any order, and the chain agrees with a model after every step.
//!
//! The model says which steps succeed and where every token is. That proves the sentence the contracts stand for:
//! balances are deposits less withdrawals, nobody without the right moves a token, and at the end everything can be
//! taken out.

mod chain;
mod model;
mod steps;

use proptest::{
    collection::vec,
    test_runner::{Config, TestRunner},
};

use crate::world::{Money, World};
use chain::Stage;
use model::Model;
use steps::Step;

/// Sequences tried per kind of money, and the longest of them.
const SEQUENCES: u32 = 20;
const LONGEST: usize = 50;

/// Plays random sequences.
fn play(money: Money) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(SEQUENCES);
    let deposits = [0, 1].map(|org| Step::Deposit { org, amount: 500 });
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&vec(steps::any_step(), 1..=LONGEST), |sequence| {
        runtime.block_on(async {
            let stage = Stage::set(World::with(money).await).await;
            let mut model = Model::default();
            for step in deposits.iter().chain(&sequence) {
                stage.perform(&mut model, step).await;
                stage.compare(&model, step).await;
            }
            stage.take_everything_out(&mut model).await;
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn with_18_decimals() {
    play(Money::Plain(18));
}

#[test]
fn with_6_decimals() {
    play(Money::Plain(6));
}

#[test]
fn with_a_token_that_returns_nothing_and_at_times_false() {
    play(Money::Tricky(6));
}
