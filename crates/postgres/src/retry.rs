//! Repeating what the database refused because of concurrent transactions.
//!
//! PostgreSQL aborts a transaction with `40001` (`serialization_failure`) when no serial order of the concurrent
//! transactions explains what they read and wrote, and with `40P01` (`deadlock_detected`) to end a deadlock.
//! Nothing of an aborted transaction remains, so it is run again from its start.

use rand::Rng;
use std::{future::Future, time::Duration};

/// Attempts at most. Of transactions that conflict, one commits per round.
const ATTEMPTS: u32 = 24;
/// The longest pause after the first conflict; it doubles with each further one, [`DOUBLINGS`] times.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const DOUBLINGS: u32 = 6;

/// How an attempt ended.
pub(crate) enum Attempt<T> {
    /// It is over, whatever its result.
    Over(T),
    /// The database aborted it because of a concurrent transaction.
    Conflict(sqlx::Error),
}

impl<T> Attempt<Result<T, sqlx::Error>> {
    /// What a statement that is a transaction by itself returned.
    pub(crate) fn of(result: Result<T, sqlx::Error>) -> Self {
        match result {
            Err(error) if is_conflict(&error) => Self::Conflict(error),
            result => Self::Over(result),
        }
    }
}

/// Whether the database aborted the transaction because of a concurrent one.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Whether a unique index refused a row. A serializable transaction that looked for the row first and found none
/// meets this when a concurrent one has committed it since: PostgreSQL may report this before the conflict.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("23505")
}

/// Whether the data of a statement is at fault (SQLSTATE classes 22 and 23), and not the database.
pub(crate) fn blames_the_data(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let is_of_data = |code: &str| code.starts_with("22") || code.starts_with("23");
    matches!(error, sqlx::Error::Encode(_)) || code.as_deref().is_some_and(is_of_data)
}

/// Runs `attempt` until it is over, at most [`ATTEMPTS`] times, with random pauses in between.
///
/// # Errors
/// The last conflict, if there were that many.
pub(crate) async fn repeated<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Attempt<T>>,
{
    let mut number = 1;
    loop {
        match attempt().await {
            Attempt::Over(value) => return Ok(value),
            Attempt::Conflict(error) if number == ATTEMPTS => return Err(error),
            Attempt::Conflict(_) => tokio::time::sleep(pause(number)).await,
        }
        number += 1;
    }
}

/// A random pause after the conflict with this number, counted from 1.
fn pause(number: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << number.saturating_sub(1).min(DOUBLINGS));
    longest.mul_f64(rand::rng().random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repeats_until_the_attempt_is_over() {
        let mut attempts = 0;
        let result = repeated(|| {
            attempts += 1;
            let over = attempts == 3;
            async move {
                if over {
                    Attempt::Over(7)
                } else {
                    Attempt::Conflict(sqlx::Error::RowNotFound)
                }
            }
        })
        .await;
        assert_eq!((result.unwrap(), attempts), (7, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_a_bounded_number_of_attempts() {
        let mut attempts = 0;
        let result: Result<(), _> = repeated(|| {
            attempts += 1;
            async { Attempt::Conflict(sqlx::Error::RowNotFound) }
        })
        .await;
        assert!(result.is_err());
        assert_eq!(attempts, ATTEMPTS);
    }

    #[test]
    fn pauses_stay_below_their_bound() {
        for number in 1..=ATTEMPTS {
            assert!(pause(number) <= FIRST_PAUSE * 64);
        }
    }
}
