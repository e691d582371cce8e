//! Unauthenticated reads do not slow down logins and paid calls.
