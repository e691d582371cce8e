//! Leases of instances: how long a process that is silent counts as alive.
//!
//! Every instance renews its lease in the database, by the database's time. Holds belong to an instance and its
//! epoch. Another instance ends an expired lease in one transaction: it raises the epoch, after which the silent
//! instance can write nothing, and releases its holds.

use haithe_kernel::Timestamp;
use std::time::Duration;

/// How often an instance renews its lease.
pub const RENEWED_EVERY: Duration = Duration::from_secs(2);

/// How long after its last renewal a lease is valid.
pub const VALID_FOR: Duration = Duration::from_secs(10);

/// Whether a lease that was renewed at `renewed_at` has expired at `now`, both by the database's time.
pub fn is_expired(renewed_at: Timestamp, now: Timestamp) -> bool {
    now > renewed_at.plus(VALID_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_expires_ten_seconds_after_its_last_renewal() {
        let renewed = Timestamp::from_seconds(1_000);
        assert!(
            !is_expired(renewed, renewed.minus(VALID_FOR)),
            "a clock that was set back"
        );
        assert!(!is_expired(renewed, renewed.plus(VALID_FOR)));
        let later = renewed.plus(VALID_FOR + Duration::from_micros(1));
        assert!(is_expired(renewed, later));
        assert!(
            VALID_FOR >= 4 * RENEWED_EVERY,
            "renewals that are lost do not end a lease"
        );
    }
}
