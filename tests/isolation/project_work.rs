//! The work and memory of one project are bounded.
