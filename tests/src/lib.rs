//! Fixtures for the suites of this crate: everything around the service that a test needs.
//!
//! [`upstream`] is a model provider that obeys the test. The suites are the test targets of this
//! package, one binary per area, so that a suite links once.

pub mod upstream;
