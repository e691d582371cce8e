//! Reads the documents that creators sell: text, web pages, PDFs and tables.
//!
//! ```text
//!   server                                   child (the same program, `haithe read-document`)
//!   ChildDocuments ── order, document ─────► limits itself, reads, cuts into pieces
//!                  ◄─ pieces or a refusal ── ends
//! ```
//!
//! A document is a stranger's: it may be built to exhaust memory, time or the stack of whoever reads
//! it, and a stack that overflows takes its process along. So no document is read in the server:
//! [`ChildDocuments`] starts a child per document with an empty environment, no files, no sockets, no
//! programs, and limits on memory and time ([`child`]), and believes of its answer only what it checks. Everything runs over
//! pipes: no content touches a disk.
//!
//! The crate owns the libraries that parse documents. It must never know of networks, stores or other
//! adapters.

pub mod child;
mod chunk;
mod documents;
mod html;
mod pdf;
mod section;
mod table;
mod text;
mod wire;

pub use documents::{ChildDocuments, SetupError};
