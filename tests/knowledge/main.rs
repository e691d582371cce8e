//! Knowledge as it is served: documents read in a child process, pieces indexed and found, and how
//! well. `cargo test -p haithe-tests --test knowledge -- --nocapture recall` prints the figures.

mod bombs;
mod documents;
mod made;
mod retrieval;
