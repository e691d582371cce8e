//! One payer cannot open a circuit for other tenants.
