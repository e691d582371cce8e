//! The domain's scale, under the names that this crate's modules use.

pub(crate) use haithe_billing::ledger::{TokenScale as Scale, capped};
