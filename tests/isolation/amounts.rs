//! Amounts state their unit, and mistaken units are refused.
