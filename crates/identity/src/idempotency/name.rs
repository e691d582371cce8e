//! What a request is called, and what it asks.

use crate::{Credential, Principal};
use haithe_kernel::{OrgId, ProjectId};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// Longest key, in bytes.
const LONGEST: usize = 255;

/// A caller's own name for a request: 1 to 255 printable ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}

/// Not such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key is given once and has 1 to {LONGEST} printable ASCII characters")]
pub struct IdempotencyKeyError;

impl FromStr for IdempotencyKey {
    type Err = IdempotencyKeyError;
    fn from_str(text: &str) -> Result<Self, IdempotencyKeyError> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if printable && (1..=LONGEST).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdempotencyKeyError)
        }
    }
}

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

hash!(
    /// Where a request's answer is kept: a hash of who asks, the method, the path and the key.
    SlotId
);
hash!(
    /// What a request asks: a hash of the method, the path, the query, on whose account, what else decides,
    /// and the body.
    Fingerprint
);

/// A request that carries a key.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What is to be done.
    pub method: &'a str,
    /// With what.
    pub path: &'a str,
    /// And how.
    pub query: &'a str,
    /// Payer and project, where the request has them.
    pub context: Option<(OrgId, ProjectId)>,
    /// What else decides what is done.
    pub beside: &'a [u8],
    /// What it carries.
    pub body: &'a [u8],
}

impl Attempt<'_> {
    /// The slot of this attempt under `key`.
    ///
    /// Whoever logs in again is the same wallet, and a key with a new secret is the same key; a wallet
    /// and each of its keys are apart.
    pub fn slot(&self, key: &IdempotencyKey) -> SlotId {
        let (sort, number) = match &self.principal.credential {
            Credential::Session(_) => ("wallet", 0),
            Credential::ApiKey(key) => ("key", key.id.0),
        };
        SlotId(hash(&[
            b"haithe idempotency slot",
            sort.as_bytes(),
            self.principal.address.as_bytes(),
            &number.to_be_bytes(),
            self.method.as_bytes(),
            self.path.as_bytes(),
            key.0.as_bytes(),
        ]))
    }

    /// What it asks.
    pub fn fingerprint(&self) -> Fingerprint {
        let (org, project) = match self.context {
            Some((org, project)) => (org.0.to_be_bytes(), project.0.to_be_bytes()),
            None => <([u8; 8], [u8; 8])>::default(),
        };
        let accounts = [org, project].concat();
        let context = if self.context.is_some() { &*accounts } else { &[] };
        Fingerprint(hash(&[
            b"haithe idempotency fingerprint",
            self.method.as_bytes(),
            self.path.as_bytes(),
            self.query.as_bytes(),
            context,
            self.beside,
            self.body,
        ]))
    }
}

/// Each part with its length in front, so that no two lists of parts look alike.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
