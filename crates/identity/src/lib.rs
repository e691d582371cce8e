//! Who is calling.
//!
//! A wallet asks for a [challenge](challenge), signs its text and gets a [session](session);
//! a program uses an [API key](api_key). Both lead to a [`Principal`]. This crate owns signatures
//! ([`signature`]), tokens and keys and their rules; it must never know of organizations' roles,
//! HTTP headers or tables. What it needs from outside are the ports in [`ports`].

pub mod api_key;
pub mod challenge;
pub mod ports;
pub mod principal;
pub mod session;

pub use principal::{Credential, Principal};
