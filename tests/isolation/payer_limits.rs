//! The payer sets the most that a call may cost.
