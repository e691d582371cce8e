//! Who may do what: every operation of the document that the server itself gives, for every kind of
//! caller, on an object of their own tenant, on another tenant's, and on none at all.
//!
//! What must happen stands in [`table`], copied by hand from the design: nothing here reads the
//! server's rules. [`rows`] says which action each operation is and what to send. An operation
//! without a row fails the suite, and so does a row without an operation.

mod cast;
mod matrix;
mod row;
mod rows;
mod surface;
mod table;
