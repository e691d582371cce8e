//! Sponsored transactions stay within budgets and never delay settlement.
