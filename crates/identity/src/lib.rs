//! Who is calling.
//!
//! A wallet asks for a challenge ([`challenges`], an EIP-4361 text), signs it ([`signature`]) and
//! gets a session and its token ([`logins`], [`sessions`], [`token`]); a program uses an API key
//! ([`api_keys`]).
//! Both lead to a [`Principal`] through the [`Authenticator`]. A caller that may have to ask twice
//! names its request with a key of its own ([`idempotency`]).
//!
//! This crate owns signatures, tokens, keys and their rules; it must never know of organizations'
//! roles, HTTP headers or tables. What it needs from outside are the ports in [`ports`].

pub mod api_key;
pub mod api_keys;
pub mod authenticator;
pub mod challenge;
pub mod challenges;
pub mod fair_queue;
pub mod idempotency;
pub mod logins;
mod memory;
pub mod ports;
pub mod principal;
pub mod revocation;
pub mod session;
pub mod sessions;
pub mod signature;
pub mod siwe;
pub mod token;
pub mod waitlist;

pub use api_keys::{ApiKeys, IssuedKey, KeySpec};
pub use authenticator::{AuthError, Authenticator};
pub use challenges::{Challenges, IssuedChallenge};
pub use idempotency::{Idempotency, IdempotencyError, IdempotencyKey};
pub use logins::{LoggedIn, LoginClaim, LoginError, LoginRequest, Logins};
pub use principal::{Credential, Principal};
pub use sessions::Sessions;
pub use signature::{MessageSigner, WalletSignature};
pub use siwe::{SignIn, SignedMessage, Site};
pub use token::Tokens;
