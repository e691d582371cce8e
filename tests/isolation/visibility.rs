//! Spending is shown only to those who may read it.
