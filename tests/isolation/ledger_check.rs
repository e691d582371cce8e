//! The ledger check is batched and raises an alarm when it stops.
