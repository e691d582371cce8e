//! Stored rows are bounded, and one broken row does not stop the others.
